"""Which tool wrote a file: seen from its first bytes and its first row, whatever the file is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalkit.errors import RecordsError
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.sources import HEAD, ZIP, archive, document, items, objects, opened
from evalkit.plumbing.strangers import check_file, refuse_stranger
from evalkit.plumbing.tables import columns_of, csv_objects, parquet_objects
from evalkit.runs.exchange import inspect_log, lighteval, lm_eval, novelty_bench, openai_batch, trl
from evalkit.runs.exchange.columns import Columns, under_fields
from evalkit.runs.exchange.layouts import Layout
from evalkit.runs.exchange.own import KEYS, SCORE
from evalkit.runs.exchange.rows import Record, with_turns

Container = Literal["jsonl", "json", "csv", "parquet", "zip"]
ALIASES = {"text": "prompt", "id": "prompt_id"}
"""What the fields of a prompt are called in suites."""
WORKBOOK = "xl/workbook.xml"
"""What every Excel workbook holds."""
INSPECT_LINE = re.compile(r'\{\s*"version":\s*\d+,\s*"status":')
"""How a log of Inspect's begins."""
TESTS: dict[Layout, Callable[[Mapping[str, Any]], bool]] = {
    "lm-eval": lm_eval.is_lm_eval,
    "lighteval": lighteval.is_lighteval,
    "novelty-bench": novelty_bench.is_novelty_bench,
    "openai-batch": openai_batch.is_result,
    "trl": trl.is_trl,
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """A file whose kind is known."""

    path: Path
    container: Container
    layout: Layout
    is_request: bool = False
    """Whether it holds what was asked in a batch, and no completion."""

    @property
    def is_table(self) -> bool:
        """Whether a row has every column, and a cell holds a list of turns as JSON."""
        return self.container in ("csv", "parquet")

    def records(self, columns: Columns) -> Iterator[Record]:
        """The file's objects, whatever it is made of, with the names that fields have here."""
        makers: dict[Container, Callable[[Path], Iterator[Record]]] = {
            "jsonl": objects,
            "json": items,
            "csv": csv_objects,
            "parquet": parquet_objects,
        }
        for where, row in under_fields(makers[self.container](self.path), columns):
            yield where, with_turns(row, where) if self.is_table else row


def recognise(path: Path, layout: Layout | None, columns: Columns) -> Recognised:
    """What kind of file it is; `layout` where that is known beforehand. Raises `RecordsError`."""
    check_file(path, "name the file of texts in it (JSONL, one object a line)")
    container = _container(path, columns)
    if container == "zip":
        return _in_archive(path, layout)
    if container == "json" and layout in (None, "inspect") and inspect_log.is_inspect(document(path)):
        return Recognised(path, container, "inspect")
    if layout == "inspect":
        raise RecordsError(f"{path} is no log of Inspect's, which is a zip (.eval) or one JSON object (.json)")
    first = next((row for _, row in Recognised(path, container, "evalkit").records(columns)), {})
    if openai_batch.is_request(first) and layout in (None, "openai-batch"):
        return Recognised(path, container, "openai-batch", is_request=True)
    seen: Layout = next((name for name, is_one in TESTS.items() if not columns and is_one(first)), "evalkit")
    return Recognised(path, container, layout or seen)


def layout_of(path: Path) -> Layout | None:
    """Which tool wrote a file, where it surely is one of completions; else None. Raises `RecordsError`."""
    file = recognise(path, None, {})
    if file.is_request:
        return None
    if file.layout != "evalkit":
        return file.layout
    keys = next((row.keys() for _, row in file.records({})), ())
    return "evalkit" if {"prompt_id", "prompt"} <= set(keys) and set(keys) & {"completion", "completions"} else None


def read_columns(pairs: Mapping[str, str]) -> dict[str, str]:
    """Names of fields as they are here: `text` is what a prompt says. Raises `RecordsError` on an unknown one."""
    fields = {ALIASES.get(field, field): column for field, column in pairs.items()}
    for field in fields:
        if field not in KEYS and not field.startswith(SCORE):
            allowed = ", ".join((*KEYS, *ALIASES, f"{SCORE}NAME"))
            raise RecordsError(
                f"--columns: there is no field {field!r}{did_you_mean(field, KEYS)}; the fields are {allowed}"
            )
    return fields


def _in_archive(path: Path, layout: Layout | None) -> Recognised:
    with archive(path) as log:
        if WORKBOOK in log.names:
            raise RecordsError(f"{path} is an Excel workbook; save its sheet as CSV (UTF-8)")
        if layout not in (None, "inspect") or not inspect_log.names_inspect(log.names):
            raise RecordsError(
                f"{path} is a zip, and no log of Inspect's (.eval); unpack it and name the file of texts in it"
            )
    return Recognised(path, "zip", "inspect")


def _container(path: Path, columns: Columns) -> Container:
    with opened(path) as file:
        head = file.read(HEAD)
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    refuse_stranger(path, head)
    if path.suffix == ".parquet" and head:
        raise RecordsError(f"{path} is no Parquet file, whatever its name says; it may be cut short or damaged")
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    line = text.splitlines()[0] if text else ""
    if text.startswith("[") or line.strip() == "{" or INSPECT_LINE.match(text):
        return "json"
    if text.startswith("{"):
        return "jsonl"
    names = set(columns_of(line))
    is_table = path.suffix in (".csv", ".tsv") or (len(names) > 1 and bool(names & {*KEYS, *columns.values()}))
    return "csv" if is_table else "jsonl"
