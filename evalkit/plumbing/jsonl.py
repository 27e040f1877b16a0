"""JSONL: a file of one object a line, where every mistake names its line, and no line is held that is too long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.errors import RecordsError
from evalkit.plumbing.strangers import HEAD, check_file, refuse_stranger

MIB = 1 << 20
LONGEST = 64 * MIB
"""Bytes of a line: an answer of millions of words with all that is told of it."""


def jsonl_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`file:line`, object) of every line that is not blank. Raises `RecordsError`."""
    check_file(path)
    try:
        with path.open("rb") as file:
            refuse_stranger(path, file.read(HEAD))
            file.seek(0)
            for where, line in bounded_lines(file, path):
                if line.strip():
                    yield where, json_object(where, line)
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None


def bounded_lines(file: BinaryIO, path: Path, longest: int | None = None) -> Iterator[tuple[str, bytes]]:
    """(`file:line`, line with its end) of every line. Raises `RecordsError` on one of more bytes than `longest`."""
    most = LONGEST if longest is None else longest
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise RecordsError(f"{path}:{number}: the line has more than {most // MIB} MiB; a row has less")
        yield f"{path}:{number}", line


def json_object(where: str, line: bytes) -> dict[str, Any]:
    """The object of a line that stands at `where` (`file:line`). Raises `RecordsError`."""
    try:
        value = json.loads(line.decode("utf-8-sig" if where.endswith(":1") else "utf-8"))
    except UnicodeDecodeError as error:
        raise RecordsError(f"{where}: not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{where}: not valid JSON: {why_no_json(error, line)}; each line holds one object") from None
    if not isinstance(value, dict):
        raise RecordsError(f"{where}: found {type(value).__name__}; each line holds one JSON object")
    return value


def why_no_json(error: Exception, content: bytes) -> str:
    """What is wrong with JSON, in words that name no function of Python's."""
    if b"\0" in content:
        return "it holds bytes of value 0, as UTF-16 and files that are no text do (save the file as UTF-8)"
    if isinstance(error, RecursionError):
        return "lists or objects in it are nested too deeply"
    # All other `ValueError`s of the parser's come from whole numbers beyond Python's bound on digits.
    return str(error) if isinstance(error, json.JSONDecodeError) else "a whole number in it has thousands of digits"
