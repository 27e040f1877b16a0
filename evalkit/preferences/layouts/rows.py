"""Objects of a file, whatever it is made of: JSONL, JSON, CSV or Parquet, compressed or not, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit.errors import RecordsError
from evalkit.plumbing.sources import HEAD, ZIP, items, objects, opened
from evalkit.plumbing.strangers import check_file, refuse_stranger
from evalkit.plumbing.tables import columns_of, csv_objects, parquet_objects
from evalkit.plumbing.transcript import is_turns, turns_in_cell
from evalkit.runs.exchange.columns import Columns, under_fields
from evalkit.runs.exchange.rows import Record

NAMES = frozenset({"prompt", "chosen", "rejected", "completion", "completions", "winner"})
"""A first line of which one is a cell is a table's header."""
MAY_BE_EMPTY = frozenset({"prompt", "chosen", "rejected", "completion"})


def records(path: Path, columns: Columns | None = None) -> Iterator[Record]:
    """(`file:line`, object) of all rows, their columns under the names that fields have here. Raises `RecordsError`."""
    return under_fields(_objects(path, columns or {}), columns or {})


def _objects(path: Path, columns: Columns) -> Iterator[Record]:
    check_file(path)
    with opened(path) as file:
        head = file.read(HEAD)
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    line = text.splitlines()[0] if text else ""
    if head.startswith(ZIP):
        raise RecordsError(f"{path} is a zip; unpack it and name the file of preferences in it")
    if head.startswith(b"PAR1") or path.suffix == ".parquet":
        return ((where, _checked(_given(row), where)) for where, row in parquet_objects(path))
    refuse_stranger(path, head)
    if text.startswith("[") or line.strip() == "{":
        return items(path)
    cells = set(columns_of(line))
    is_table = path.suffix in (".csv", ".tsv") or (len(cells) > 1 and cells & (NAMES | set(columns.values())))
    if not text.startswith("{") and is_table:
        return ((where, _checked(_filled(row), where)) for where, row in csv_objects(path))
    return objects(path)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """A table's row has every column; where a cell is null, the row has no such field."""
    return {key: value for key, value in row.items() if value is not None}


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """An empty cell of CSV may be an empty text only where a text stands."""
    return {key: value for key, value in row.items() if value != "" or key in MAY_BE_EMPTY}


def _checked(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Refuse cells that were to hold turns, and hold what Python shows of a list. Raises `RecordsError`."""
    for key, cell in row.items():
        if isinstance(cell, str) and is_turns(cell):
            try:
                turns_in_cell(cell)
            except ValueError as error:
                raise RecordsError(f"{where}: {key}: {error}") from None
    return row
