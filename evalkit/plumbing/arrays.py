"""Types that every room shares: arrays of numbers, numbers that may be missing, JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def is_number_in_file(value: object) -> TypeGuard[float]:
    """Whether what a file holds is a number that a float can be: no text, no truth value, no NaN, not too large."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def finite_or_none(value: float) -> float | None:
    """The number as JSON can hold it, which knows neither NaN nor infinity: None in their place."""
    return float(value) if math.isfinite(value) else None


def nan_for_none(values: Iterable[float | None]) -> Array:
    """The way back from `finite_or_none`: (N,) numbers, NaN where there is none."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def defined_in_all(rows: Sequence[Array]) -> Array:
    """(R, N) the rows one above the other, NaN in all of them where one is."""
    table = np.stack(rows)
    table[:, np.isnan(table).any(axis=0)] = np.nan
    return table


def finite_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields, every float among them by `finite_or_none`; whatever is no float stays as it is."""
    return {name: finite_or_none(value) if isinstance(value, float) else value for name, value in fields.items()}


JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
