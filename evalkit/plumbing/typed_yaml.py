"""Typed YAML: a pydantic model read from a file, where every mistake names file, line, key and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema

from evalkit.errors import SuiteError
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.no_booleans import without_booleans
from evalkit.plumbing.yaml_lines import Document, read_yaml


class Part(BaseModel):
    """A part of a file: frozen, unknown keys refused, no number from a boolean.

    Null is as if a key was not there, but where it has a meaning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = without_booleans(handler(source))
        return schema

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        absent = {key for key, value in given.items() if value is None and cls._means_nothing(key)}
        return {key: value for key, value in given.items() if key not in absent} if absent else given

    @classmethod
    def _means_nothing(cls, key: Any) -> bool:
        """Whether null is no value of a key that is known."""
        field = cls.model_fields.get(key) if isinstance(key, str) else None
        return field is not None and NoneType not in get_args(field.annotation)


Model = TypeVar("Model", bound=Part)


def read_part(model: type[Model], path: Path, what: str) -> tuple[Model, Document]:
    """A YAML file as a `model`, and the lines of it; `what` names such a file in errors. Raises `SuiteError`."""
    document = read_yaml(path, what)
    try:
        return model.model_validate(document.value), document
    except ValidationError as error:
        raise SuiteError("\n".join(explain(model, document, error))) from None


def explain(model: type[BaseModel], document: Document, error: ValidationError) -> Iterable[str]:
    """One line a mistake: `file:line: key: what was found and what is allowed`."""
    problems = error.errors()
    refused = {loc[:length] for loc in (problem["loc"] for problem in problems) for length in range(len(loc))}
    for problem in problems:
        loc = problem["loc"]
        if problem["type"] == "too_short" and loc in refused:
            continue  # It is short of what was refused, which is told.
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            yield f"{document.key_place(*loc)}: {_unknown_key(model, loc)}"
        else:
            yield f"{document.line_of(*loc)}: {dotted(loc) + ': ' if loc else ''}{reason(problem)}"


def reason(problem: Any) -> str:
    """What was found and what is allowed, from a pydantic error."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] in ("missing", "missing_argument"):
        return "this key is missing; it must be given"
    must = problem["msg"].replace("Input should be", "it must be").replace("Value should", "it must")
    # What a value is called in the code, and when it was counted, says nothing to who wrote the file.
    must = re.sub(r" or (an )?instance of \w+| after validation", "", must)
    must = re.sub(r"^(String|Tuple|List|Dictionary) should", "it must", must)
    must = (
        must.replace("a valid ", "a ").replace("a integer", "an integer").replace("a string", "text (put it in quotes)")
    )
    must = must.replace("a tuple", "a list").replace("a dictionary", "a mapping of keys to values")
    return f"found {_show(problem['input'])}; {must}"


def _unknown_key(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    allowed = _allowed_keys(model, loc[:-1])
    meant = did_you_mean(str(loc[-1]), allowed)
    return f"unknown key {dotted(loc)!r}{meant}; allowed here: {', '.join(allowed)}"


def _allowed_keys(model: type[BaseModel], loc: Iterable[int | str]) -> list[str]:
    schema = model.model_json_schema()
    here: dict[str, Any] = schema
    for step in loc:
        here = _follow(schema, here)
        if isinstance(step, int):
            here = here["items"]
        else:
            here = (
                here.get("properties", {}).get(step)
                or here.get("additionalProperties")
                or next(iter(here["patternProperties"].values()))
            )
    return list(_follow(schema, here).get("properties", {}))


def _follow(schema: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    for option in here.get("anyOf", []):
        if "$ref" in option:
            here = option
    if "$ref" in here:
        definition: dict[str, Any] = schema["$defs"][here["$ref"].rsplit("/", 1)[-1]]
        return definition
    return here


def dotted(loc: Iterable[int | str]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".")


def _show(value: Any) -> str:
    if isinstance(value, str):
        value = value[:200]  # a text of millions of letters is not written out to show its first
    shown = (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
        if _is_plain(value)
        else repr(value)
    )
    shown = shown.strip().removesuffix("...").strip()
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | dict | type(None))
