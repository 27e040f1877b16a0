"""One rule for what people write where a text belongs: null is as if nothing were there, and a number is its text.

YAML, JSON and tables write one thing in several ways: `1` and `"1"`, and 1.0 once a table has held an empty cell.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any


def as_text(value: Any) -> Any:
    """A finite number as its text, a whole one without a point; of a list each part. All else is handed back."""
    if isinstance(value, list | tuple):
        return type(value)(as_text(part) for part in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return value


def texts_given(fields: Mapping[str, Any], but: Collection[str] = ()) -> dict[str, Any]:
    """The fields that are given, numbers as their texts, `but` in those where a number is one, or a mistake."""
    return {key: value if key in but else as_text(value) for key, value in fields.items() if value is not None}
