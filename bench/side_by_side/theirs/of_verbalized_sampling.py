"""verbalized-sampling: its evaluators of diversity and n-grams, with the given embeddings in place of an API's."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from shared import CHECKOUT, WITH_VECTORS, keep, sets, timed, write

PACKAGE = "verbalized_sampling"


def main() -> None:
    # Its packages import every provider's client; of them only these two evaluators are asked for.
    for name in (PACKAGE, f"{PACKAGE}.analysis", f"{PACKAGE}.analysis.evals"):
        package = types.ModuleType(name)
        package.__path__ = [str(CHECKOUT) + "/" + name.replace(".", "/")]
        sys.modules[name] = package
    given = _Given()
    models = types.ModuleType(f"{PACKAGE}.llms")
    vars(models)["get_embedding_model"] = lambda name: given
    sys.modules[models.__name__] = models
    diversity = importlib.import_module(f"{PACKAGE}.analysis.evals.diversity").DiversityEvaluator(num_workers=1)
    ngrams = importlib.import_module(f"{PACKAGE}.analysis.evals.ngram").NgramEvaluator(num_workers=1)
    for name, arm, rows, vectors in sets(*WITH_VECTORS):
        prompts = [row["id"] for row in rows for _ in row["generations"]]
        responses = [{"text": text} for row in rows for text in row["generations"]]
        texts = (text for row in rows for text in row["generations"])
        given.rows = dict(zip(texts, (row for of_prompt in vectors for row in of_prompt), strict=True))
        result, seconds = timed(diversity.evaluate, prompts, responses)
        found = result.overall_metrics
        keep("avg_diversity", name, arm, found["avg_diversity"], seconds)
        keep("avg_response_length", name, arm, found["avg_response_length"], seconds)
        result, seconds = timed(ngrams.evaluate, prompts, responses)
        found = result.overall_metrics
        keep("avg_rouge_l", name, arm, found["avg_rouge_l"], seconds)
        keep("avg_distinct_n", name, arm, found["avg_distinct_n"], seconds)
    write()


class _Given:
    """An embedding model that looks texts up."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def get_embedding(self, text: str) -> Any:
        return types.SimpleNamespace(embedding=self.rows[text], cost=0.0)


if __name__ == "__main__":
    main()
