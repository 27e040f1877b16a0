"""Numbers and measures as a reader sees them, the same on the page and in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from evalkit.metrics.decoding import Ranged
from evalkit.metrics.registry import label as label  # every part of the report says it
from evalkit.metrics.summary import (
    Contrast,
    Difference,
    Estimate,
    Likeness,
    LossPart,
    MeasureChange,
    PartChange,
    Reading,
)
from evalkit.metrics.word_use import Gap, Level
from evalkit.plumbing.arrays import is_number
from evalkit.records import CONFIDENCE

if TYPE_CHECKING:
    from evalkit.analysis.intervals import Mean

WithInterval: TypeAlias = (
    "Estimate | Difference | Reading | Likeness | Contrast | Ranged | MeasureChange | PartChange | LossPart"
    " | Level | Gap | Mean"
)
MISSING = "not defined"
NO_SPREAD = "equal on every prompt"
"""In the place of an interval that equal values would make a point: two equal differences are not a sure one."""
LEVEL = f"{CONFIDENCE * 100:g} %"


def value_text(number: WithInterval, signed: bool = False) -> str:
    """The value with as many decimals as its interval deserves."""
    return _fixed(number.value, _decimals(number), signed)


def beside(value: float, *numbers: WithInterval) -> str:
    """A number known exactly, with as many decimals as the most precise of those that it stands beside."""
    return _fixed(value, max(map(_decimals, numbers)))


def interval_text(number: WithInterval) -> str:
    """`1.20 to 1.44`; why there is none, where equal values tell no spread; nothing where no end is known."""
    if not (is_number(number.low) and is_number(number.high)):
        return ""
    if is_point(number.low, number.high):
        return NO_SPREAD
    decimals = _decimals(number)
    return f"{_fixed(number.low, decimals)} to {_fixed(number.high, decimals)}"


def interval_words(number: WithInterval) -> str:
    """`95 % interval 1.20 to 1.44`, or that there is none, which is so of one prompt."""
    return with_level(interval_text(number))


def with_level(interval: str, names_level: bool = True) -> str:
    """What `interval_text` and `deviations` say, in a sentence; `names_level`: of several intervals it is the first."""
    if interval == NO_SPREAD:
        return f"no {LEVEL} interval: {NO_SPREAD}" if names_level else NO_SPREAD
    if not interval:
        return f"no {LEVEL} interval"
    return f"{LEVEL} interval {interval}" if names_level else interval


def percent(share: float) -> str:
    """`92.3 %`; never more than it is."""
    return f"{math.floor(1000 * share + 1e-9) / 10:g} %"


def p_text(p: float | None) -> str:
    if not is_number(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def number_text(value: float | None, missing: str = MISSING) -> str:
    """A number by itself, to three digits, or whole from a thousand on."""
    if not is_number(value):
        return missing
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def rate_text(rate: float) -> str:
    """A rate to two digits, whole from ten on, and never as a power of ten: `0.20`, `61`, `123`."""
    if not rate:
        return "0"
    decimals = max(0, 1 - math.floor(math.log10(abs(rate))))
    return f"{round(rate, decimals):,.{decimals}f}"


def deviations(value: float, low: float, high: float) -> tuple[str, str]:
    """A standardised difference and its interval: `−0.42`, `−0.60 to −0.24`; why there is none, as `interval_text`."""
    if not (is_number(low) and is_number(high)):
        return _fixed(value, 2, signed=True), ""
    if is_point(low, high):
        return _fixed(value, 2, signed=True), NO_SPREAD
    decimals = _apart_from_zero(2, low, high)
    said = [_fixed(number, decimals, signed=index == 0) for index, number in enumerate((value, low, high))]
    return said[0], f"{said[1]} to {said[2]}"


def unlike_fields(signature: str, other: str) -> str:
    """`v:1.1 versus v:1.0`: where two signatures differ."""
    here, there = signature.split("|"), other.split("|")
    mine, theirs = [field for field in here if field not in there], [field for field in there if field not in here]
    return f"{'|'.join(mine) or 'nothing'} versus {'|'.join(theirs) or 'nothing'}"


def _decimals(number: WithInterval) -> int:
    """A last digit between a twentieth and a half of the interval's half: more would be noise, fewer would hide it."""
    if is_number(number.low) and is_number(number.high) and not is_point(number.low, number.high):
        decimals = -math.floor(math.log10((number.high - number.low) / 4))
        return _clamp(_apart_from_zero(decimals, number.low, number.high))
    if is_number(number.value) and number.value:
        return _clamp(2 - math.floor(math.log10(abs(number.value))))
    return 2


def _apart_from_zero(decimals: int, low: float, high: float) -> int:
    """As many more as it takes that an interval which excludes 0 is seen to."""
    nearest = max(low, -high)
    return max(decimals, -math.floor(math.log10(nearest))) if nearest > 0 else decimals


def is_point(low: float, high: float) -> bool:
    """Whether an interval has no width but that of rounding: its values do not vary, which is no certainty."""
    return high <= low or math.isclose(low, high, rel_tol=1e-9)


def _clamp(decimals: int) -> int:
    return min(max(decimals, 0), 6)


def _fixed(value: float | None, decimals: int, signed: bool = False) -> str:
    if not is_number(value):
        return MISSING
    rounded = round(value, decimals) + 0.0
    sign = "−" if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{abs(rounded):,.{decimals}f}"
