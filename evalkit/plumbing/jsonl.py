"""JSONL: a file of one object a line, where every mistake names its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit.errors import RecordsError


def jsonl_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`file:line`, object) of every line that is not blank. Raises `RecordsError`."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", json_object(f"{path}:{number}", line)
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None


def json_object(where: str, line: bytes) -> dict[str, Any]:
    """The object of a line that stands at `where` (`file:line`). Raises `RecordsError`."""
    try:
        value = json.loads(line.decode("utf-8-sig" if where.endswith(":1") else "utf-8"))
    except UnicodeDecodeError as error:
        raise RecordsError(f"{where}: not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{where}: not valid JSON: {error}; each line holds one object") from None
    if not isinstance(value, dict):
        raise RecordsError(f"{where}: found {type(value).__name__}; each line holds one JSON object")
    return value
