"""JSON lines of a stated type: each checked as it is read; written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from evalkit.errors import RecordsError
from evalkit.plumbing.as_text import as_text
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.files import write_file, writing
from evalkit.plumbing.jsonl import jsonl_rows
from evalkit.plumbing.typed_yaml import dotted, reason
from evalkit.plumbing.unread import Notice, unread_note

Text = Annotated[str, Field(min_length=1)]
Label = Annotated[str, BeforeValidator(as_text), Field(min_length=1)]
"""A name; people also number their raters."""
Row = TypeVar("Row")


def typed_rows(
    path: Path,
    adapter: TypeAdapter[Row],
    needed: str,
    known: Collection[str],
    notice: Notice,
    expected: Collection[str] = (),
) -> Iterator[tuple[str, Mapping[str, Any], Row]]:
    """(`file:line`, its object, the row made of it) for every line of a JSONL file that holds at least one.

    `needed` names the keys that an empty file lacks. `notice` is told of keys that are neither `known` nor `expected`;
    the latter are not read, and nobody thinks that they are. Raises `RecordsError` with file, line and key.
    """
    keys: dict[str, None] = {}
    for where, fields in jsonl_rows(path):
        keys |= dict.fromkeys(fields)
        try:
            yield where, fields, adapter.validate_python(fields)
        except ValidationError as error:
            problem = error.errors()[0]
            if problem["type"] == "extra_forbidden":
                key = str(problem["loc"][-1])
                allowed = f"{did_you_mean(key, known)}; allowed here: {', '.join(known)}"
                raise RecordsError(f"{where}: {key}: this key is unknown{allowed}") from None
            raise RecordsError(f"{where}: {dotted(problem['loc'])}: {reason(problem)}") from None
    if not keys:
        raise RecordsError(f"{path} holds no rows; each line is one JSON object with {needed}")
    if note := unread_note(str(path), (key for key in keys if key not in expected), known):
        notice(note)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line. Raises `StoreError`; then a file that was there is as it was."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # A lone surrogate is no text: it cannot be written as UTF-8.
    write_file(path, text.encode("utf-8", "replace"))


def check_place(path: Path) -> None:
    """See, before hours of work, that a file can be written there; makes its folder. Raises `StoreError`."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, f"you may not write to {path.parent}")
