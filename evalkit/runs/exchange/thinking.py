"""Thinking in texts made elsewhere: taken off the answers where the user, or every text of an arm, says how it ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import listed
from evalkit.records import Thinking
from evalkit.runs.exchange.read import Texts
from evalkit.runs.exchange.rows import TextRow
from evalkit.runs.thinking import CLOSING, OPENING, split_text


def thinking_apart(texts: Texts, end: str | None) -> tuple[Texts, list[str]]:
    """The texts with their thinking apart, and what must be said of it.

    With `end`, in every arm of which a completion holds it. Without, in every arm all of whose completions begin with
    `<think>`. Rows whose thinking the file has apart stay as they are.
    Raises `RecordsError` where no completion holds `end`.
    """
    by_arm: dict[str, list[TextRow]] = defaultdict(list)
    for row, arm in zip(texts.rows, texts.arms, strict=True):
        if row.thinking is None:
            by_arm[arm].append(row)
    if end is None:
        marks = Thinking(OPENING, CLOSING)
        thinking = [arm for arm, rows in by_arm.items() if _all_open(rows)]
    else:
        marks = Thinking(OPENING if end == CLOSING else "", end)
        thinking = [arm for arm, rows in by_arm.items() if any(end in row.completion for row in rows)]
        if not thinking:
            raise RecordsError(f"--thinking-end {end!r}: no completion holds that text")
    if not thinking:
        return texts, []
    rows = [
        _apart(row, marks) if arm in thinking and row.thinking is None else row
        for row, arm in zip(texts.rows, texts.arms, strict=True)
    ]
    why = "all their completions begin with it" if end is None else "as --thinking-end says"
    what = f"{OPENING} up to {CLOSING}" if end is None else f"all up to {end}"
    return replace(texts, rows=rows), [
        f"of {listed(thinking)} the answers alone are measured: {what} is taken for thinking ({why})"
    ]


def _all_open(rows: Sequence[TextRow]) -> bool:
    return all(row.completion.lstrip().startswith(OPENING) for row in rows)


def _apart(row: TextRow, marks: Thinking) -> TextRow:
    text, thinking, finish = split_text(row.completion, row.finish_reason, marks)
    return replace(row, completion=text, thinking=thinking, finish_reason=finish)
