"""NoveltyBench's partition and utility: its own functions, with the cosine of the given embeddings as the judge.

Its classifier and its reward model cannot be downloaded everywhere; both are handed to its code from outside, so that
what is compared is the rule and the arithmetic. Modules that it imports and that are not called stand empty.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
from shared import CHECKOUT, WITH_VECTORS, keep, sets, timed, write

THRESHOLD = 0.65


def main() -> None:
    sys.path.insert(0, str(CHECKOUT))
    _stand_in("evaluate", load=lambda name: None)
    _stand_in("src.common", oai_client=lambda: None)
    if importlib.util.find_spec("aiofiles") is None:
        _stand_in("aiofiles", open=_Opened)
    partition = importlib.import_module("src.partition")
    score = importlib.import_module("src.score")
    for name, arm, rows, vectors in sets(*WITH_VECTORS):
        classes, seconds = timed(_classes, partition, rows, vectors)
        keep("classes", name, arm, [max(of_prompt) + 1 for of_prompt in classes], seconds)
        instances = [row | {"partition": of_prompt} for row, of_prompt in zip(rows, classes, strict=True)]
        scored, seconds = timed(_scored, score, instances)
        keep("utility", name, arm, [one["utility"] for one in scored], seconds)
        by_words, seconds = timed(_by_words, partition, rows)
        keep("classes by ROUGE-1", name, arm, [max(of_prompt) + 1 for of_prompt in by_words], seconds)
    write()


def _classes(module: Any, rows: list[Any], vectors: list[Any]) -> list[list[int]]:
    made = []
    for row, of_prompt in zip(rows, vectors, strict=True):
        unit = of_prompt.astype(np.float64)
        place = {text: number for number, text in enumerate(row["generations"])}

        async def alike(prompt: str, one: str, other: str, unit: Any = unit, place: Any = place) -> bool:
            by_words = module.maybe_test_equality(one, other)
            return bool(unit[place[one]] @ unit[place[other]] >= THRESHOLD) if by_words is None else bool(by_words)

        made.append(asyncio.run(module.partition_responses(row["prompt"], row["generations"], alike)))
    return made


def _by_words(module: Any, rows: list[Any]) -> list[list[int]]:
    judge = module.equivalence_check_unigram
    return [asyncio.run(module.partition_responses(row["prompt"], row["generations"], judge)) for row in rows]


def reward(text: str) -> float:
    """A stand-in for the reward model: below or above all of its thresholds, so that the mark is 1 or 10."""
    return 0.0 if sum(text.encode()) % 2 else -100.0


def _scored(module: Any, instances: list[Any]) -> list[Any]:
    module.rm_and_tokenizer = lambda: (_Reward(), _Tokenizer())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.jsonl"
        asyncio.run(module.process_instances(instances, str(out), 0.8))
        lines = [json.loads(line) for line in out.read_text().splitlines()]
    by_id = {one["id"]: one for one in lines}
    return [by_id[one["id"]] for one in instances]


class _Tokenizer:
    """Hands the texts through to `_Reward`."""

    def apply_chat_template(self, conversations: list[Any], **settings: Any) -> Any:
        texts = [conversation[-1]["content"] for conversation in conversations]
        return type("Batch", (dict,), {"to": lambda batch, device: batch})(texts=texts)


class _Reward:
    device = "cpu"

    def __call__(self, texts: list[str]) -> Any:
        return types.SimpleNamespace(logits=np.array([[reward(text)] for text in texts]))


class _Opened:
    """What aiofiles.open gives, for writing."""

    def __init__(self, path: str, mode: str, **settings: Any) -> None:
        self._file = Path(path).open(mode)  # noqa: SIM115

    async def __aenter__(self) -> _Opened:
        return self

    async def __aexit__(self, *reason: object) -> None:
        self._file.close()

    async def write(self, text: str) -> None:
        self._file.write(text)


def _stand_in(name: str, **holds: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(holds)
    sys.modules[name] = module


if __name__ == "__main__":
    main()
