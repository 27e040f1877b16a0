"""TRL: `prompt` and `completion` as texts or message lists, as data sets have them and as GRPOTrainer logs them.

GRPOTrainer's `log_completions` writes a Parquet file a step with `step`, `prompt`, `completion`, a column for each
reward function and `advantage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import (
    Record,
    Tally,
    TextRow,
    as_number,
    asked_in,
    id_of,
    other_parts,
    score_name,
    short,
    turns,
)

KNOWN = ("step", "prompt", "completion", "advantage")


def is_trl(row: Mapping[str, Any]) -> bool:
    """Whether it is a row of TRL's: without ids, and with message lists or what a trainer logs."""
    if "prompt_id" in row or not row.keys() >= {"prompt", "completion"}:
        return False
    return isinstance(row["prompt"], list) or isinstance(row["completion"], list) or "advantage" in row


def read_trl(records: Iterable[Record], tally: Tally) -> Iterator[TextRow]:
    """Prompts are paired by what they say. Raises `RecordsError` that names the row."""
    for where, row in records:
        missing = [key for key in ("prompt", "completion") if key not in row]
        if missing:
            raise RecordsError(f"{where}: the key {missing[0]!r} is missing; found: {', '.join(row) or 'none'}")
        if kind := other_parts(row["prompt"]):
            tally.leave(f"the prompt holds what is no text ({kind}), and is known here by its text alone", where)
            continue
        prompt, messages = asked_in(row["prompt"], where)
        text = _said(row["completion"], where)
        if text is None:
            tally.leave("no completion", where)
            continue
        scores = {score_name(key): as_number(value, key, where) for key, value in row.items() if key not in KNOWN}
        yield TextRow(
            where=where,
            prompt_id=id_of(prompt),
            prompt=prompt,
            completion=text,
            arm=f"step-{row['step']}" if "step" in row else None,
            messages=messages,
            scores={key: value for key, value in scores.items() if value is not None},
        )


def _said(completion: Any, where: str) -> str | None:
    """What the assistant says last; None where it says nothing at all."""
    if completion is None or isinstance(completion, str):
        return completion
    if not isinstance(completion, list):
        raise RecordsError(f"{where}: completion is {short(completion)}; it must be a text or a list of messages")
    said = [text for role, text in turns(completion, where) if role == "assistant"] if completion else []
    return said[-1] if said else None
