"""Spreadsheets: CSV and Parquet as objects, a row each."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import RecordsError
from evalkit.plumbing.jsonl import LONGEST, MIB
from evalkit.plumbing.sources import check_expansion, lines

Record = tuple[str, dict[str, Any]]
"""Where it stands (`file:line`), and one object of a file of rows."""
SEPARATORS = (",", ";", "\t")
SEPARATOR_LINE = re.compile(r"sep=([,;\t])\s*$", re.IGNORECASE)
"""A first line by which Excel says what separates the cells."""
BATCH = 256
"""Rows of a Parquet file that are held at once."""
GROUP = 2048 * MIB
"""Bytes of a row group, expanded: what has more is no table of texts."""


def csv_objects(path: Path) -> Iterator[Record]:
    """(`file: row number`, cells by column). An empty cell is an empty text. Raises `RecordsError`.

    The header is the first line that is not blank, behind Excel's `sep=;` where that stands.
    """
    csv.field_size_limit(LONGEST)  # 128 KiB at first, which a long answer has
    lines = _text_lines(path)
    header = next((line for line in lines if line.strip()), "")
    separator = separator_of(header)
    if named := SEPARATOR_LINE.match(header):
        separator, header = named[1], next(lines, "")
    rows = csv.reader(_chained(header, lines), delimiter=separator, strict=True)
    number = 0
    try:
        columns = next(rows, [])
        check_columns(columns, path)
        for number, row in enumerate(rows, start=1):
            if row:
                if len(row) != len(columns):
                    raise RecordsError(
                        f"{path}: row {number} has {len(row)} cells under a header of {len(columns)}; a text with a "
                        f"{separator!r} in it stands in double quotes"
                    )
                yield f"{path}: row {number}", dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise RecordsError(f"{path}: row {number + 1} is no CSV: {_why_no_csv(str(error))}") from None


def check_columns(columns: Sequence[str], path: Path) -> None:
    """Refuse two columns of one name: which of them counts is not for us to choose. Raises `RecordsError`."""
    twice = next((name for name, count in Counter(columns).items() if name and count > 1), None)
    if twice is not None:
        raise RecordsError(f"{path}: two columns are called {twice!r}; give each a name of its own")


def _why_no_csv(error: str) -> str:
    """The csv module's words, but for those that speak of Python or say too little."""
    if "new-line character" in error:
        return "a line ends in a carriage return alone, as on old Macs; save the file with other line ends"
    return "a double quote is opened and not closed" if "unexpected end" in error else error


def columns_of(header: str) -> list[str]:
    """The columns that the first line of a CSV file names; none where it is no such line."""
    try:
        return next(csv.reader([header], delimiter=separator_of(header), strict=True), [])
    except csv.Error:
        return []


def separator_of(header: str) -> str:
    """What separates the cells: whichever of the three the header has most of."""
    return max(SEPARATORS, key=header.count)


def _text_lines(path: Path) -> Iterator[str]:
    """Lines with their ends, as the csv module wants them: an end inside quotes is part of the cell."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    for where, line in lines(path):
        try:
            yield decoder.decode(line)
        except UnicodeDecodeError as error:
            raise RecordsError(
                f"{where}: not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8"
            ) from None


def _chained(header: str, lines: Iterator[str]) -> Iterator[str]:
    yield header
    yield from lines


def parquet_objects(path: Path) -> Iterator[Record]:
    """(`file: row number`, cells by column), a batch at a time. Raises `RecordsError`."""
    try:
        with pq.ParquetFile(path) as file:
            check_columns(file.schema_arrow.names, path)
            _check_groups(file, path)
            number = 0
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:  # the last: a time beyond the year 9999
        raise RecordsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _check_groups(file: Any, path: Path) -> None:
    groups = [file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups)]
    check_expansion(sum(groups), path.stat().st_size, str(path))
    if max(groups, default=0) > GROUP:
        raise RecordsError(f"{path} has row groups of more than {GROUP // MIB:,} MiB; write it with smaller ones")
