"""Prompts from a file (JSONL, CSV, Parquet) or a Hugging Face data set, and the checks that all prompts pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from evalkit.errors import MetricError, RecordsError, SuiteError
from evalkit.metrics.answer_match import check_answer
from evalkit.metrics.task_checks import read_checks
from evalkit.metrics.valid_answers import read_valid
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.strangers import HEAD, check_file, refuse_stranger
from evalkit.plumbing.transcript import is_turns, turns_in_cell
from evalkit.plumbing.typed_yaml import reason
from evalkit.plumbing.unread import Notice, say, unread_note
from evalkit.records import Prompt
from evalkit.suite.conversations import ASKED, prompt_fields

FIELDS = ("id", "text", "tags", "answer", "match", "references", "choices", "cluster", "checks", "valid", "messages",
          "prompt")  # fmt: skip
COMPRESSED = (".gz", ".zst")
"""What the name of a file of rows may end with besides; that it is compressed is seen from its bytes."""
AS_JSON = ("references", "choices", "checks", "valid", "messages")
"""Fields that a cell of CSV holds as JSON."""


class PromptSource(BaseModel):
    """Where prompts are read from."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    file: str | None = None
    """A .jsonl, .csv (both also compressed: .gz, .zst) or .parquet file, relative to the suite."""
    dataset: str | None = None
    """A data set on the Hugging Face hub, or a local folder of one."""
    config: str | None = None
    """Name of the data set's configuration."""
    split: str = "test"
    revision: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    """Which column holds which field, as in {text: question, answer: target}; default: the field's own name.

    Where it is given, columns that no field reads are noted; else they are refused.
    """

    @property
    def read(self) -> dict[str, str]:
        """Field -> the column that holds it.

        Where `columns` says which one holds what is asked, none is looked for under the other names of that.
        """
        named = [field for field in ASKED if field in self.columns]
        fields = [field for field in FIELDS if not named or field not in ASKED or field in named]
        return {field: self.columns.get(field, field) for field in fields}

    @model_validator(mode="after")
    def _is_one(self) -> PromptSource:
        if (self.file is None) == (self.dataset is None):
            raise ValueError("prompts_from needs exactly one of `file` and `dataset`")
        unknown = sorted(set(self.columns) - set(FIELDS))
        if unknown:
            raise ValueError(f"columns: there is no field {unknown[0]!r}; the fields are {', '.join(FIELDS)}")
        return self


def read_prompts(source: PromptSource, folder: Path, yaml_line: str, notice: Notice = say) -> tuple[Prompt, ...]:
    """All prompts of a source, checked. `folder`: what a relative file name is relative to.

    `notice` is told of columns that are not read. Raises `SuiteError`.
    """
    rows = file_rows(folder / source.file, yaml_line) if source.file else _dataset_rows(source, yaml_line)
    adapter = TypeAdapter(Prompt)
    prompts: list[Prompt] = []
    places: list[str] = []
    columns: dict[str, None] = {}
    for number, (where, row) in enumerate(rows, start=1):
        if not source.columns:
            _refuse_unknown(where, row)
        columns |= dict.fromkeys(row)
        fields = {field: row.get(column) for field, column in source.read.items()}
        places.append(where)
        try:
            given = {field: _plain(field, value) for field, value in fields.items() if _is_given(value)}
            given.setdefault("id", f"row-{number:05d}")
            prompts.append(adapter.validate_python(prompt_fields(given, source.read)))
        except ValidationError as error:
            raise SuiteError(f"{where}: {_first_problem(error, source, row)}") from None
        except ValueError as error:
            raise SuiteError(f"{where}: {error}") from None
    if not prompts:
        raise SuiteError(f"{yaml_line}: {source.file or source.dataset} holds no prompts; a suite needs at least one")
    _refuse_missing(source, columns, yaml_line)
    check_prompts(prompts, lambda index: places[index])
    note = unread_note(f"{yaml_line}: {source.file or source.dataset}", columns, list(source.read.values()))
    if note:
        notice(note)
    return tuple(prompts)


def _refuse_unknown(where: str, row: Mapping[str, Any]) -> None:
    unknown = next((column for column in row if column not in FIELDS), None)
    if unknown is not None:
        raise SuiteError(
            f"{where}: unknown column {unknown!r}{did_you_mean(unknown, FIELDS)}; known: {', '.join(FIELDS)}. To read "
            "some columns and leave the others, say which under prompts_from.columns, as in columns: {text: question}"
        )


def _refuse_missing(source: PromptSource, columns: Collection[str], yaml_line: str) -> None:
    for field, column in source.columns.items():
        if column not in columns:
            raise SuiteError(
                f"{yaml_line}: prompts_from.columns.{field}: there is no column {column!r}"
                f"{did_you_mean(column, columns)}; columns: {', '.join(columns)}"
            )


def check_prompts(prompts: Sequence[Prompt], line_of: Callable[[int], str]) -> None:
    """Refuse equal ids, blank texts, answers that cannot be matched, unknown checks and checkers.

    Also distributions that do not add up.

    `line_of(index)` names where prompt `index` stands. Raises `SuiteError`.
    """
    seen: dict[str, int] = {}
    for index, prompt in enumerate(prompts):
        if prompt.id in seen:
            first = line_of(seen[prompt.id])
            raise SuiteError(
                f"{line_of(index)}: prompt id {prompt.id!r} is used twice (first at {first}); ids must be unique"
            )
        seen[prompt.id] = index
        _check_texts(prompt, line_of(index))
        total = sum(prompt.choices.values())
        if prompt.choices and abs(total - 1) > 1e-6:
            raise SuiteError(
                f"{line_of(index)}: the choices of prompt {prompt.id!r} add up to {total:g}; they must add up to 1"
            )
        try:
            check_answer(prompt)
            read_checks(prompt)
            read_valid(prompt)
        except MetricError as error:
            raise SuiteError(f"{line_of(index)}: {error}") from None


def _check_texts(prompt: Prompt, where: str) -> None:
    if not prompt.text.strip():
        raise SuiteError(f"{where}: prompt {prompt.id!r} is blank; give it a text")
    for what, texts in (("choice", prompt.choices), ("reference", prompt.references)):
        if not all(text.strip() for text in texts):
            raise SuiteError(f"{where}: prompt {prompt.id!r} has a blank {what}; give it a text or leave it out")
    for choice in prompt.choices:
        # Values are checked as they are read; keys are not.
        if any("\ud800" <= sign <= "\udfff" for sign in choice):
            raise SuiteError(
                f"{where}: prompt {prompt.id!r}: choice {choice!a} holds half of a character (a lone surrogate); "
                "write the character itself"
            )


def file_rows(path: Path, yaml_line: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """(`file:line`, object) of all rows of a .jsonl, .csv or .parquet file; `yaml_line` begins errors.

    Raises `SuiteError`.
    """
    from evalkit.plumbing.sources import objects, opened  # which load pyarrow, as tables do
    from evalkit.plumbing.tables import csv_objects, parquet_objects

    try:
        check_file(path)
    except RecordsError as error:
        raise SuiteError(f"{yaml_line}: {error}") from None
    readers = {".jsonl": objects, ".csv": csv_objects, ".parquet": parquet_objects}
    kind = Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
    if kind not in readers or (kind == ".parquet" and kind != path.suffix):
        raise SuiteError(
            f"{yaml_line}: {path.name} is neither .jsonl, .csv nor .parquet; the first two may be compressed "
            f"({' or '.join(COMPRESSED)})"
        )
    if kind != ".parquet":
        with opened(path) as file:
            refuse_stranger(path, file.read(HEAD))
    return readers[kind](path)


def _dataset_rows(source: PromptSource, yaml_line: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import datasets
    except ImportError:
        raise SuiteError(
            f"{yaml_line}: reading a data set needs one more package: pip install 'evalkit[datasets]'"
        ) from None
    try:
        rows = datasets.load_dataset(source.dataset, source.config, split=source.split, revision=source.revision)
    except (OSError, ValueError, KeyError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "scripts are no longer supported" in reason:
            reason = (
                "it is made by a script of its own, which the datasets package no longer runs; the hub keeps most of "
                "these as tables too: add `revision: refs/convert/parquet` beside `dataset`, or export it to a file"
            )
        raise SuiteError(f"{yaml_line}: data set {source.dataset!r} cannot be read: {reason}") from None
    for number, row in enumerate(rows, start=1):
        yield f"{source.dataset}[{source.split}]: row {number}", row


def _is_given(value: Any) -> bool:
    return value is not None and value != ""


def _plain(field: str, value: Any) -> Any:
    """A table's cell as a prompt's field: CSV holds lists as `a; b` (tags) and as JSON (the others)."""
    if isinstance(value, str) and field == "tags":
        return tuple(tag.strip() for tag in value.split(";") if tag.strip())
    if isinstance(value, str) and field in AS_JSON:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(value, str) and field == "prompt":
        return turns_in_cell(value) or value
    if isinstance(value, str) and field == "text" and is_turns(value):
        raise ValueError("text: the cell holds turns; call the column `messages`, or say columns: {messages: NAME}")
    return value


def _first_problem(error: ValidationError, source: PromptSource, row: dict[str, Any]) -> str:
    problem = error.errors()[0]
    field = str(problem["loc"][0]) if problem["loc"] else "prompt"
    column = source.columns.get(field, field)
    if problem["type"] == "missing" and column in row:
        return f"{column} is empty; every prompt says what is asked"
    if column not in row:
        return (
            f"there is no column {column!r} for {field}; columns: {', '.join(row)} (name it under prompts_from.columns)"
        )
    return f"{column}: {reason(problem)}"
