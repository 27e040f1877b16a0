"""evalkit's own rows: JSONL, CSV or Parquet with `prompt_id`, `prompt`, `completion` (or `completions`) and `arm`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from evalkit.errors import RecordsError
from evalkit.plumbing.as_text import as_text, texts_given
from evalkit.plumbing.typed_yaml import dotted, reason
from evalkit.records import FinishReason, Match
from evalkit.runs.exchange.rows import Record, Tally, TextRow, asked_in, asked_of, id_of, scores_in, short, turns

SCORE = "score/"
"""What the columns of a table begin with that hold scores; in JSONL they stand in the object `scores`."""
LISTS = ("completions", "tags", "checks", "valid", "references", "scores", "asked")
"""Keys that a cell of a CSV file holds as JSON."""
NO_TEXTS = ("completion", "completions", "scores", "asked", "class")
"""Keys of which a number is a mistake or a number, or that are looked at by themselves."""


class Row(BaseModel):
    """One line of the file: one completion, or a list of them."""

    model_config = ConfigDict(frozen=True)

    prompt_id: str
    prompt: str | list[Any]
    completion: str | list[Any] | None = None
    completions: tuple[str, ...] | None = None
    arm: str | None = None
    answer: str | None = None
    match: Match = "exact"
    tags: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    valid: tuple[str, ...] | str = ()
    cluster: str | None = None
    references: tuple[str, ...] = ()
    thinking: str | None = None
    finish_reason: FinishReason = "stop"
    scores: dict[str, Any] = Field(default_factory=dict)
    asked: dict[str, Any] | None = None
    said: str | None = Field(default=None, alias="class")
    """Which of its prompt's completions say the same, by a number or a name that they share."""

    @field_validator("completion", "completions", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """A number here is a wrong column more often than an answer."""
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, int | float):
                raise ValueError(f"a completion is {item!r}, which is no text; write it in quotes if it is an answer")
        return value

    @field_validator("tags", mode="before")
    @classmethod
    def _are_listed(cls, value: Any) -> Any:
        """Tables have them as `a; b`, as suites' tables do."""
        return [tag.strip() for tag in value.split(";") if tag.strip()] if isinstance(value, str) else value

    @field_validator("prompt_id", "prompt", "arm", mode="before")
    @classmethod
    def _is_finite(cls, value: Any) -> Any:
        """What pandas writes where nothing is must not become the text `nan`."""
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"an id, a prompt or an arm is {value!r}, which names nothing; give a text or a number")
        return value

    @field_validator("prompt_id")
    @classmethod
    def _is_an_id(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("`prompt_id` is blank; give each prompt an id, or name the column of ids by --columns")
        return name

    @field_validator("said", mode="before")
    @classmethod
    def _is_a_class(cls, value: Any) -> Any:
        name = as_text(value)
        if isinstance(name, str) and name.strip():
            return name
        raise ValueError(f"`class` is {short(value)}; it is a text or a number that completions of one prompt share")

    @field_validator("scores")
    @classmethod
    def _are_no_truths(cls, scores: dict[str, Any]) -> dict[str, Any]:
        for name, value in scores.items():
            if isinstance(value, bool):
                raise ValueError(f"score {name!r} is {value!r}, which is no number; write 1 or 0")
        return scores

    @field_validator("arm")
    @classmethod
    def _is_named(cls, name: str | None) -> str | None:
        if name is not None and not name.strip():
            raise ValueError("`arm` is blank; give the arm a name, or leave the key out")
        return name

    @model_validator(mode="after")
    def _has_one_form(self) -> Row:
        if (self.completion is None) == (self.completions is None):
            raise ValueError("a row has either `completion` (a text) or `completions` (a list of texts)")
        if self.completions is not None and (self.scores or self.thinking or self.asked or self.said is not None):
            raise ValueError(
                "`scores`, `thinking`, `asked` and `class` go with one `completion`; give each of the list a row of "
                "its own"
            )
        return self


KEYS = tuple(field.alias or name for name, field in Row.model_fields.items())
OF_EXPORTS = ("sample", "settings")
"""What `evalkit export` writes beside them for whoever reads the rows; no measure asks for it."""


def read_own(records: Iterable[Record], tally: Tally, is_named: bool, is_table: bool) -> Iterator[TextRow]:
    """Rows of completions. Raises `RecordsError` that names the line.

    `is_named`: columns were named on purpose, so that one without ids is paired by its prompts. `is_table`: cells
    cannot be left out, so that an empty one says nothing.
    """
    adapter = TypeAdapter(Row)
    for where, given in records:
        fields = _with_scores(_from_table(given) if is_table else given, where)
        if is_named and "prompt_id" not in fields and isinstance(fields.get("prompt"), str):
            fields = {**fields, "prompt_id": id_of(fields["prompt"])}
        if is_table and fields.get("completion") is None and fields.get("completions") is None and _has_text(given):
            tally.leave("no completion", where)
            continue
        try:
            row = adapter.validate_python(texts_given(fields, NO_TEXTS))
        except ValidationError as error:
            raise RecordsError(f"{where}: {_problem(error, given)}") from None
        yield from _rows_of(row, where, tally)


def _has_text(given: Mapping[str, Any]) -> bool:
    """Whether the table has a column of completions at all."""
    return "completion" in given or "completions" in given


def _from_table(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Cells as fields: nothing where a cell is empty, but for a completion, and JSON as what it says."""
    fields = {key: value for key, value in cells.items() if value is not None and (value != "" or key == "completion")}
    for key in LISTS:
        if isinstance(fields.get(key), str) and fields[key][:1] in "[{":
            try:
                fields[key] = json.loads(fields[key])
            except (ValueError, RecursionError):
                continue  # it is refused as what it is, with its place
    return fields


def _with_scores(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The fields with scores from columns of their own."""
    if not any(key.startswith(SCORE) for key in fields):
        return fields
    scores = {key.removeprefix(SCORE): _number(value) for key, value in fields.items() if key.startswith(SCORE)}
    if "" in scores:
        raise RecordsError(
            f"{where}: a column is called {SCORE!r}; the score's name stands behind it, as in {SCORE}stars"
        )
    return {key: value for key, value in fields.items() if not key.startswith(SCORE)} | {"scores": scores}


def _number(cell: Any) -> Any:
    """A cell of CSV as the number it writes."""
    try:
        return float(cell) if isinstance(cell, str) and "_" not in cell else cell
    except ValueError:
        return cell


def _rows_of(row: Row, where: str, tally: Tally) -> Iterator[TextRow]:
    prompt, messages = asked_in(row.prompt, where)
    if isinstance(row.completion, list) and _said(row.completion, where) is None:
        tally.leave("no completion: none of its messages is the assistant's", where)
        return
    if row.completions is not None and not row.completions:
        raise RecordsError(f"{where}: prompt {row.prompt_id!r} has an empty list of completions")
    texts = row.completions if row.completions is not None else (_said(row.completion, where) or "",)
    for text in texts:
        yield TextRow(
            where=where,
            prompt_id=row.prompt_id,
            prompt=prompt,
            completion=text,
            arm=row.arm,
            messages=messages,
            answer=row.answer,
            match=row.match,
            references=row.references,
            tags=row.tags,
            checks=row.checks,
            valid=row.valid,
            cluster=row.cluster or None,
            thinking=row.thinking,
            finish_reason=row.finish_reason,
            scores=scores_in(row.scores, tally, where),
            said=row.said,
            asked=asked_of(row.asked, where),
        )


def _said(completion: Any, where: str) -> str | None:
    """A text, or what the assistant says last in a list of messages; None where it says nothing."""
    if isinstance(completion, str):
        return completion
    said = [text for role, text in turns(completion, where) if role == "assistant"]
    return said[-1] if said else None


def _problem(error: ValidationError, fields: Mapping[str, Any]) -> str:
    problem = error.errors()[0]
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] != "missing":
        return f"{dotted(problem['loc'])}: {reason(problem)}"
    key = str(problem["loc"][0])
    if key in fields:
        return f"{key} is empty"
    return f"the key {key!r} is missing; found: {', '.join(map(repr, fields)) or 'none'}{_hint(key, fields)}"


def _hint(missing: str, fields: Mapping[str, Any]) -> str:
    """What to do about a key that is not there."""
    if "chosen" in fields and "rejected" in fields:
        return "; a file of preferences, which score does not read: see `evalkit prefs import`"
    if missing == "prompt_id" and fields.keys() >= {"prompt", "completion"}:
        return "; to pair rows by their prompts' texts instead, add --format trl"
    return "; name the keys so, or say which holds what, as in --columns prompt_id=id,prompt=question"
