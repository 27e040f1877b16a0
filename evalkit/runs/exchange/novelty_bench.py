"""NoveltyBench (Zhang et al. 2025): a prompt a line with its generations, then their classes and scores.

`generations.jsonl` has id, prompt, model and generations, `partitions.jsonl` adds partition (the class of each, from 0
in order of appearance) and distinct, `scores.jsonl` adds generation_scores, partition_scores and utility. Files of
version 1.1 and later have null for the score of a repeat, older ones 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import Record, Tally, TextRow, as_number, asked_in, id_in, short

SCORE = "generation_scores"
MOST_CLASSES = 1 << 31


def is_novelty_bench(row: Mapping[str, Any]) -> bool:
    """Whether it is a row of NoveltyBench's."""
    return "generations" in row or {"id", "prompt", "partition"} <= row.keys()


def read_novelty_bench(records: Iterable[Record], tally: Tally) -> Iterator[TextRow]:
    """A row a generation. Raises `RecordsError` that names the line."""
    for where, row in records:
        for key in ("id", "prompt", "generations"):
            if key == "generations" and key not in row and "partition" in row:
                raise RecordsError(
                    f"{where}: the texts were left out of this file of classes; add generations, a list of texts"
                )
            if key not in row:
                raise RecordsError(f"{where}: the key {key!r} is missing; found: {', '.join(row) or 'none'}")
        texts = row["generations"]
        if not isinstance(texts, list):
            raise RecordsError(f"{where}: generations is {short(texts)}; it must be a list of texts")
        if not texts:
            tally.leave("no generations", where)
        yield from _rows_of(row, texts, where, tally)


def _rows_of(row: Mapping[str, Any], texts: list[Any], where: str, tally: Tally) -> Iterator[TextRow]:
    prompt, messages = asked_in(row["prompt"], where)
    classes, scores = _beside(row, "partition", len(texts), where), _beside(row, SCORE, len(texts), where)
    firsts: dict[int, float] = {}
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            tally.leave("a generation is no text", where)
            continue
        said = None if classes is None else _class_of(classes[index], where)
        score = None if scores is None else as_number(scores[index], SCORE, where)
        if scores is not None and score is None:
            tally.refuse_score(SCORE, scores[index])
        if said is not None and scores is not None and scores[index] in (0, None):
            # What repeats an earlier class has 0 or nothing: said before, which is not bad by itself.
            score = firsts.get(said, score)
        if said is not None and score is not None:
            firsts.setdefault(said, score)
        yield TextRow(
            where=where,
            prompt_id=id_in(row["id"], "id", where),
            prompt=prompt,
            completion=text,
            arm=str(row["model"]) if row.get("model") else None,
            messages=messages,
            scores={} if score is None else {SCORE: score},
            said=None if said is None else str(said),
        )


def _beside(row: Mapping[str, Any], key: str, count: int, where: str) -> list[Any] | None:
    """A list with an entry a generation, if there is one."""
    values = row.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != count:
        entries = f"{len(values)} entries" if isinstance(values, list) else short(values)
        raise RecordsError(f"{where}: {key} has {entries} for {count} generations; it must have one for each")
    return values


def _class_of(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST_CLASSES:
        raise RecordsError(f"{where}: partition holds {short(value)}; classes are numbered from 0")
    return value
