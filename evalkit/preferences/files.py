"""Files of preferences: read in any layout that people have, written in our own form."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted
from evalkit.plumbing.typed_jsonl import write_rows
from evalkit.plumbing.unread import Notice, say, unread_note
from evalkit.preferences.from_annotations import preferences_of
from evalkit.preferences.layouts.read import layout_of, read_file, typed
from evalkit.preferences.layouts.rows import records
from evalkit.preferences.preference import FIELDS, Preference
from evalkit.preferences.read_annotations import holds_annotations, read_annotations

__all__ = ["Preference", "read_preferences", "write_preferences"]

LABELS = ("rater", "group", "prompt_id", "seconds", "order")


def read_preferences(paths: Iterable[str | Path], notice: Notice = say) -> list[Preference]:
    """All preferences of files, in order; each file's layout is seen from its first row.

    `notice` is told of keys that are not read, of rows that are no pairs, and of ties. Raises `RecordsError` with
    file, line and key.
    """
    return [preference for path in paths for preference in _read(Path(path), notice)]


def _read(path: Path, notice: Notice) -> list[Preference]:
    if holds_annotations(path):
        return preferences_of(read_annotations([path], notice), path, notice)
    if layout_of(path) == "own":
        return _read_own(path, notice)
    account = read_file(path, notice)
    for sentence in account.losses():
        notice(sentence)
    _tell_of_ties(path, account.preferences, notice)
    return account.preferences


def _read_own(path: Path, notice: Notice) -> list[Preference]:
    """Rows as they were written, equal or empty completions too: what sampled and labelled them meant them."""
    keys: dict[str, None] = {}
    preferences = []
    for where, row in records(path):
        keys |= dict.fromkeys(row)
        preferences.append(typed(where, row))
    if not preferences:
        raise RecordsError(f"{path} holds no rows; each line is one JSON object with prompt, chosen and rejected")
    if note := unread_note(str(path), keys, FIELDS):
        notice(note)
    _tell_of_ties(path, preferences, notice)
    return preferences


def _tell_of_ties(path: Path, preferences: Iterable[Preference], notice: Notice) -> None:
    ties = sum(preference.target != 1 for preference in preferences)
    if ties:
        notice(f"{path}: {counted(ties, 'tie')}: each completion is held to be preferred with probability 1/2")


def write_preferences(path: Path, preferences: Iterable[Preference]) -> None:
    """Write JSONL that trainers read: prompt, chosen, rejected, and rater, group, prompt_id where known.

    All as texts, or all as message lists where some prompt is a conversation: a column has one type. Ties carry a
    `winner`. Raises `StoreError`; then a file that was there is as it was.
    """
    rows = list(preferences)
    as_row = _conversational if any(row.turns for row in rows) else _standard
    write_rows(path, (_labelled(row, as_row(row)) for row in rows))


def _standard(preference: Preference) -> dict[str, Any]:
    return {"prompt": preference.prompt, "chosen": preference.chosen, "rejected": preference.rejected}


def _conversational(preference: Preference) -> dict[str, Any]:
    turns = preference.turns or (("user", preference.prompt),)
    return {
        "prompt": [{"role": role, "content": text} for role, text in turns],
        "chosen": [{"role": "assistant", "content": preference.chosen}],
        "rejected": [{"role": "assistant", "content": preference.rejected}],
    }


def _labelled(preference: Preference, row: dict[str, Any]) -> dict[str, Any]:
    known = {name: getattr(preference, name) for name in LABELS if getattr(preference, name) is not None}
    winner = {} if preference.winner == "chosen" else {"winner": preference.winner}
    first = {"prompt_id": known.pop("prompt_id")} if "prompt_id" in known else {}
    return first | row | known | winner
