"""What `evalkit train sft` learns from: prompts and completions, as texts or turns, or what preferences prefer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted
from evalkit.plumbing.typed_jsonl import Text
from evalkit.plumbing.typed_yaml import dotted, reason
from evalkit.plumbing.unread import Notice, say, unread_note
from evalkit.preferences.layouts.read import layout_of, read_file
from evalkit.preferences.layouts.rows import records
from evalkit.preferences.layouts.turns import (
    Message,
    NotAPair,
    answer,
    check_prompt,
    is_turns,
    read_turns,
    transcript,
)

DIALOGUES = ("messages", "conversations")
"""Keys of a whole conversation, whose last turn is learned."""
OF_PREFERENCES = ("rejected", "rater", "group", "prompt_id", "winner")
"""Keys that a file of preferences has and nobody expects to be read here."""


@dataclass(frozen=True, slots=True)
class Row:
    """One example; of preferences, what was chosen is the completion."""

    prompt: Text
    """As text: of several turns, the transcript."""
    completion: str | None = None
    chosen: str | None = None
    turns: tuple[Message, ...] = ()
    """Of the prompt, where it is more than one user turn."""

    @property
    def answer(self) -> str:
        return self.completion if self.completion is not None else str(self.chosen)


def read_rows(paths: Sequence[str], notice: Notice = say) -> list[Row]:
    """All examples of files, in order; each file's layout is seen from its first row.

    `notice` is told of keys that are not read, but for those of preferences, and of rows that are left out. Raises
    `RecordsError` with file, line and key.
    """
    return [row for path in paths for row in _rows(Path(path), notice)]


def _rows(path: Path, notice: Notice) -> Iterator[Row]:
    first = next((row for _, row in records(path)), {})
    if _is_dialogue(first):
        yield from _dialogues(path, notice)
    elif layout_of(path) != "own":
        yield from _preferred(path, notice)
    else:
        yield from _texts(path, notice)


def _is_dialogue(row: Mapping[str, Any]) -> bool:
    if "rejected" in row:
        return False
    return any(key in row for key in DIALOGUES) or any(is_turns(row.get(key)) for key in ("prompt", "completion"))


def _dialogues(path: Path, notice: Notice) -> Iterator[Row]:
    lost: dict[str, list[str]] = {}
    keys: dict[str, None] = {}
    read = 0
    for where, row in records(path):
        keys |= dict.fromkeys(row)
        try:
            turns, said = _dialogue(where, row)
            check_prompt(turns)
        except NotAPair as why:
            lost.setdefault(str(why), []).append(where)
            continue
        read += 1
        yield Row(transcript(turns), said, turns=turns if len(turns) > 1 else ())
    losses = [f"{path}: {counted(len(places), 'row')} left out: {why} ({places[0]})" for why, places in lost.items()]
    if not read:
        raise RecordsError("; ".join(losses))
    for sentence in losses:
        notice(sentence)
    if note := unread_note(str(path), keys, (*DIALOGUES, "prompt", "completion")):
        notice(note)


def _dialogue(where: str, row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    """A prompt's turns and the answer. Raises `NotAPair`, and `RecordsError` where a key is missing."""
    whole = next((key for key in DIALOGUES if key in row), None)
    if whole is not None:
        turns = read_turns(row[whole], whole)
        return turns[:-1], answer(turns[-1:])
    for key in ("prompt", "completion"):
        if key not in row:
            raise RecordsError(f"{where}: {key}: this key is missing; a row has prompt and completion, or messages")
    prompt, said = row["prompt"], row["completion"]
    turns = read_turns(prompt, "prompt") if is_turns(prompt) else (("user", str(prompt)),)
    return turns, answer(read_turns(said, "completion")) if is_turns(said) else str(said)


def _preferred(path: Path, notice: Notice) -> Iterator[Row]:
    account = read_file(path, notice)
    for sentence in account.losses():
        notice(sentence)
    ties = len(account.preferences) - account.count("chosen")
    if ties:
        notice(f"{path}: {counted(ties, 'tie')} left out: neither completion was chosen")
    for preference in account.preferences:
        if preference.winner == "chosen":
            yield Row(preference.prompt, chosen=preference.chosen, turns=preference.turns)


def _texts(path: Path, notice: Notice) -> Iterator[Row]:
    adapter, keys = TypeAdapter(Row), dict[str, None]()
    for where, fields in records(path):
        keys |= dict.fromkeys(fields)
        try:
            row = adapter.validate_python({key: fields[key] for key in fields if key != "turns"})
        except ValidationError as error:
            problem = error.errors()[0]
            raise RecordsError(f"{where}: {dotted(problem['loc'])}: {reason(problem)}") from None
        if row.completion is None and row.chosen is None:
            columns = ", ".join(map(json.dumps, fields))
            raise RecordsError(f"{where}: there is neither `completion` nor `chosen`; the keys are {columns}")
        yield row
    if not keys:
        raise RecordsError(f"{path} holds no rows; each is one object with prompt and completion (or chosen)")
    unexpected = (key for key in keys if key not in OF_PREFERENCES)
    if note := unread_note(str(path), unexpected, ("prompt", "completion", "chosen")):
        notice(note)
