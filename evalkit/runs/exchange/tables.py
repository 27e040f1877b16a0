"""Spreadsheets: CSV and Parquet as objects, a row each."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import Record
from evalkit.runs.exchange.sources import LONGEST, MIB, check_expansion, lines

SEPARATORS = (",", ";", "\t")
BATCH = 256
"""Rows of a Parquet file that are held at once."""
GROUP = 2048 * MIB
"""Bytes of a row group, expanded: what has more is no table of texts."""


def csv_objects(path: Path) -> Iterator[Record]:
    """(`file: row number`, cells by column). An empty cell is an empty text. Raises `RecordsError`."""
    csv.field_size_limit(LONGEST)  # 128 KiB at first, which a long answer has
    lines = _text_lines(path)
    header = next(lines, "")
    rows = csv.reader(_chained(header, lines), delimiter=separator_of(header), strict=True)
    number = 0
    try:
        columns = next(rows, [])
        for number, row in enumerate(rows, start=1):
            if row:
                if len(row) != len(columns):
                    raise RecordsError(
                        f"{path}: row {number} has {len(row)} cells under a header of {len(columns)}; a text with a "
                        f"{separator_of(header)!r} in it stands in double quotes"
                    )
                yield f"{path}: row {number}", dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise RecordsError(f"{path}: row {number + 1} is no CSV: {error}") from None


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
            _check_groups(file, path)
            number = 0
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (OSError, pa.ArrowException, ValueError) as error:
        raise RecordsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def parquet_columns(path: Path) -> list[str]:
    """The columns of a Parquet file. Raises `RecordsError`."""
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise RecordsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _check_groups(file: Any, path: Path) -> None:
    groups = [file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups)]
    check_expansion(sum(groups), path.stat().st_size, str(path))
    if max(groups, default=0) > GROUP:
        raise RecordsError(f"{path} has row groups of more than {GROUP // MIB:,} MiB; write it with smaller ones")
