"""Where a number is wanted, true and false are refused: pydantic reads them as 1 and 0, and YAML `yes` as true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic_core import PydanticKnownError, core_schema

REFUSED: Mapping[str, Literal["int_type", "float_type"]] = {"int": "int_type", "float": "float_type"}
"""Kind of number -> the error that pydantic has for what is none."""
NO_SCHEMAS = ("metadata", "default")
"""Keys of a schema that hold things of the user's."""


def without_booleans(schema: Any) -> Any:
    """A schema in which all numbers, however deep, refuse booleans."""
    if isinstance(schema, list | tuple):
        return type(schema)(without_booleans(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    within = {key: part if key in NO_SCHEMAS else without_booleans(part) for key, part in schema.items()}
    error = REFUSED.get(str(schema.get("type")))
    if error is None:
        return within

    def refuse(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticKnownError(error)
        return value

    return core_schema.no_info_before_validator_function(refuse, within)
