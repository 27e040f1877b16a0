"""Rows whose columns have other names than the fields here: which column holds which field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalkit.errors import RecordsError
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.runs.exchange.rows import Record

Columns = Mapping[str, str]
"""Field -> the column that holds it."""


def under_fields(rows: Iterable[Record], columns: Columns) -> Iterator[Record]:
    """The rows with the columns that were named under their fields' names.

    Raises `RecordsError` where the first row lacks one of them.
    """
    for index, (where, row) in enumerate(rows):
        if columns and not index:
            _refuse_missing(columns, row, where)
        yield where, _renamed(row, columns) if columns else row


def _renamed(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    taken = set(columns.values())
    rest = {key: value for key, value in row.items() if key not in taken and key not in columns}
    return {field: row[column] for field, column in columns.items() if column in row} | rest


def _refuse_missing(columns: Columns, row: Mapping[str, Any], where: str) -> None:
    for field, column in columns.items():
        if column not in row:
            raise RecordsError(
                f"{where}: --columns {field}={column}: there is no column {column!r}{did_you_mean(column, list(row))}; "
                f"columns: {', '.join(map(str, row))}"
            )
