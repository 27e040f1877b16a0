"""Types that every room shares: arrays of numbers, numbers that may be missing, JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
