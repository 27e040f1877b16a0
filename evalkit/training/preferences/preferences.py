"""Preferences: of two completions of a prompt, which one a rater chose; read and written as JSONL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import TypeAdapter

from evalkit.plumbing.unread import Notice, say
from evalkit.training.data_files import Label, Text, typed_rows, write_rows


@dataclass(frozen=True, slots=True)
class Preference:
    """One comparison: of two completions of a prompt, a rater chose one."""

    prompt: Text
    chosen: str
    rejected: str
    rater: Label | None = None
    """Who compared, as in `scholars-3`; None where a file does not tell."""
    group: Label | None = None
    """The rater's group; None where a file does not tell."""
    prompt_id: Label | None = None


def read_preferences(paths: Iterable[str | Path], notice: Notice = say) -> list[Preference]:
    """All preferences of JSONL files, in order.

    `notice` is told of other keys than a `Preference`'s, which are not read. Raises `RecordsError` with file, line and
    key.
    """
    keys = [field.name for field in fields(Preference)]
    adapter, needed = TypeAdapter(Preference), "prompt, chosen and rejected"
    return [row for path in paths for _, _, row in typed_rows(Path(path), adapter, needed, keys, notice)]


def write_preferences(path: Path, preferences: Iterable[Preference]) -> None:
    """Write JSONL that trainers read: prompt, chosen, rejected, and rater, group, prompt_id where known.

    Raises `StoreError`; then a file that was there is as it was.
    """
    keys = ("prompt_id", "prompt", "chosen", "rejected", "rater", "group")
    rows = ({key: getattr(preference, key) for key in keys} for preference in preferences)
    write_rows(path, ({key: value for key, value in row.items() if value is not None} for row in rows))
