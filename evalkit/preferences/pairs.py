"""Pairs of completions to be compared: one prompt's, two by two, read and written as JSONL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from evalkit.errors import MetricError, RecordsError
from evalkit.metrics.answer_match import check_answer
from evalkit.plumbing.typed_jsonl import Label, Text, typed_rows, write_rows
from evalkit.plumbing.unread import Notice, say
from evalkit.preferences.layouts.read import read_file
from evalkit.preferences.layouts.rows import records
from evalkit.preferences.layouts.turns import messages_of
from evalkit.records import Match, Prompt
from evalkit.runs.exchange.rows import id_of


@dataclass(frozen=True, slots=True)
class Pair:
    """Two completions of one prompt, to be compared; without white space around them."""

    prompt: Prompt
    a: str
    b: str

    @property
    def prompt_id(self) -> str:
        return self.prompt.id


class _PairRow(BaseModel):
    """One line of a pairs file, as `evalkit score` reads it too."""

    prompt_id: Label
    prompt: Text
    completions: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    answer: str | None = None
    match: Match = "exact"

    @property
    def pair(self) -> Pair:
        a, b = self.completions
        return Pair(Prompt(self.prompt_id, self.prompt, answer=self.answer, match=self.match), a, b)


def read_pairs(paths: Iterable[str | Path], notice: Notice = say) -> list[Pair]:
    """All pairs of files, in order; white space around completions is taken off.

    A file of preferences, in any layout, gives the pairs that were compared, however the votes went. `notice` is told
    of keys that are not read and of rows that are no pairs. Raises `RecordsError` with file, line and key, also where
    one prompt id stands for two prompts.
    """
    pairs = []
    known: dict[str, Prompt] = {}
    for path in map(Path, paths):
        for where, pair in _compared(path, notice) if _holds_preferences(path) else _own(path, notice):
            _check_prompt(where, pair.prompt, known.setdefault(pair.prompt_id, pair.prompt))
            pairs.append(Pair(pair.prompt, pair.a.strip(), pair.b.strip()))
    return pairs


def _own(path: Path, notice: Notice) -> Iterator[tuple[str, Pair]]:
    adapter, keys, needed = TypeAdapter(_PairRow), list(_PairRow.model_fields), "prompt_id, prompt and completions"
    for where, _, row in typed_rows(path, adapter, needed, keys, notice):
        yield where, row.pair


def _holds_preferences(path: Path) -> bool:
    first = next((row for _, row in records(path)), {})
    return "completions" not in first and ("rejected" in first or "winner" in first)


def _compared(path: Path, notice: Notice) -> Iterator[tuple[str, Pair]]:
    account = read_file(path, notice)
    for sentence in account.losses():
        notice(sentence)
    for preference in account.preferences:
        text = preference.prompt
        prompt = Prompt(preference.prompt_id or id_of(text), text, messages=messages_of(preference.turns))
        yield str(path), Pair(prompt, preference.chosen, preference.rejected)


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write JSONL of prompt_id, prompt, completions (two), and answer and match where there is an answer.

    Raises `StoreError`; then a file that was there is as it was.
    """
    write_rows(path, map(_pair_row, pairs))


def _check_prompt(where: str, prompt: Prompt, known: Prompt) -> None:
    if prompt != known:
        raise RecordsError(
            f"{where}: prompt_id: {prompt.id!r} stands for another prompt here than above; give each prompt its own"
        )
    try:
        check_answer(prompt)
    except MetricError as error:
        raise RecordsError(f"{where}: answer: {error}") from None


def _pair_row(pair: Pair) -> dict[str, Any]:
    row = {"prompt_id": pair.prompt_id, "prompt": pair.prompt.text, "completions": [pair.a, pair.b]}
    return row if pair.prompt.answer is None else row | {"answer": pair.prompt.answer, "match": pair.prompt.match}
