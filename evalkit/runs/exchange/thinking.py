"""Thinking in texts made elsewhere: taken off the answers where the user, or every text of an arm, says how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evalkit.errors import RecordsError
from evalkit.plumbing.lazily import each
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
    if end is None:
        marks = Thinking(OPENING, CLOSING)
        thinking = _arms(texts, lambda row: row.completion.lstrip().startswith(OPENING), settled_by=False)
    else:
        marks = Thinking(OPENING if end == CLOSING else "", end)
        thinking = _arms(texts, lambda row: end in row.completion, settled_by=True)
        if not thinking:
            raise RecordsError(f"--thinking-end {end!r}: no completion holds that text")
    if not thinking:
        return texts, []

    def taken_apart(place: int, row: TextRow) -> TextRow:
        return _apart(row, marks) if texts.arms[place] in thinking and row.thinking is None else row

    why = "all their completions begin with it" if end is None else "as --thinking-end says"
    what = f"{OPENING} up to {CLOSING}" if end is None else f"all up to {end}"
    return replace(texts, rows=each(texts.rows, taken_apart)), [
        f"of {listed(thinking)} the answers alone are measured: {what} is taken for thinking ({why})"
    ]


def _arms(texts: Texts, holds: Callable[[TextRow], bool], settled_by: bool) -> list[str]:
    """The arms of which something holds for any row whose thinking is not apart, or for all of those.

    `settled_by`: what one row has to say of it so that the arm's others need not be asked.
    """
    found: dict[str, bool] = {}
    for place, arm in enumerate(texts.arms):
        if found.get(arm) != settled_by and (row := texts.rows[place]).thinking is None:
            found[arm] = holds(row)
    return [arm for arm, is_so in found.items() if is_so]


def _apart(row: TextRow, marks: Thinking) -> TextRow:
    text, thinking, finish = split_text(row.completion, row.finish_reason, marks)
    return replace(row, completion=text, thinking=thinking, finish_reason=finish)
