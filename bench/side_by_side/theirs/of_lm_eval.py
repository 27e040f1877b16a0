"""lm-eval: a task of given answers through `simple_evaluate`, as a run of it is, with a model that hands them over."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from shared import keep, sets, timed, write

NAME = "answers"


def main() -> None:
    logging.disable(logging.CRITICAL)
    for name, arm, rows, _ in sets(NAME):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "docs.jsonl"
            file.write_text("\n".join(json.dumps(row) for row in rows))
            found, seconds = timed(_evaluated, rows, file)
        result = found["results"][NAME]
        for filtered in ("first", "all"):
            value, error = (result[f"exact_match{kind},{filtered}"] for kind in ("", "_stderr"))
            keep(f"exact_match, {filtered}", name, arm, value, seconds)
            keep(f"exact_match, {filtered}, +- 1.96 stderr", name, arm, _interval(value, error), seconds)
    write()


def _interval(value: float, error: float) -> list[float]:
    return [value - 1.96 * error, value + 1.96 * error]


def _evaluated(rows: list[Any], file: Path) -> Any:
    draws = len(rows[0]["generations"])
    task = {
        "task": NAME,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": str(file)},
        "test_split": "train",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "repeats": draws,
        "generation_kwargs": {"until": ["\n"], "do_sample": True},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "filter_list": [
            {"name": "first", "filter": [{"function": "take_first"}]},
            {"name": "all", "filter": [{"function": "take_first_k", "k": draws}]},
        ],
    }
    return simple_evaluate(model=_Given(rows), tasks=[task])


class _Given(LM):
    """Each request's next generation."""

    def __init__(self, rows: list[Any]) -> None:
        super().__init__()
        self._generations = [row["generations"] for row in rows]
        self._asked: Counter[int] = Counter()

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return [self._next(request.doc_id) for request in requests]

    def _next(self, doc: int) -> str:
        self._asked[doc] += 1
        return self._generations[doc][self._asked[doc] - 1]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        raise NotImplementedError("a task of answers asks for none")

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        raise NotImplementedError("a task of answers asks for none")


if __name__ == "__main__":
    main()
