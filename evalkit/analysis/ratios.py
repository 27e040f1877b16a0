"""Intervals of a ratio of two means over the same prompts: what share of a total one of its parts is.

Fieller's (1954) way: a share r is in the interval exactly where the test of "the mean of part - r total is zero" does
not reject, and the test is the one of every other interval here (`intervals.mean_p_values`: skewness, clusters). The
interval has two ends only where the total itself is clearly not zero; a ratio by resampling or by the delta method has
ends always, and they mean nothing where the total could be zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.analysis.intervals import Mean, mean_p_values
from evalkit.plumbing.arrays import Array

_DOUBLINGS, _HALVINGS = 30, 48
"""How far out an end is looked for, in powers of 2, and how often the place where it lies is halved."""


def ratio_intervals(parts: Array, totals: Array, confidence: float, clusters: Sequence[str] = ()) -> list[Mean]:
    """Mean part over mean total of every row, with its interval; `parts` and `totals`: (m, P), NaN in both alike.

    NaN where the total's mean is zero, and for the ends where the total is not clearly other than zero at this
    confidence: then no share is excluded on some side. `clusters` as in `mean_intervals`. O(m P) a step.
    """
    count = np.count_nonzero(~np.isnan(totals), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.nansum(parts, axis=1) / np.where(count, np.nansum(totals, axis=1), np.nan)
    ratio = np.where(np.isfinite(ratio), ratio, np.nan)
    is_bounded = (mean_p_values(totals, clusters) < 1 - confidence) & ~np.isnan(ratio)
    low, high = (
        _end(parts, totals, np.where(is_bounded, ratio, np.nan), direction, 1 - confidence, clusters)
        for direction in (-1.0, 1.0)
    )
    rows = zip(ratio, low, high, count, strict=True)
    return [Mean(float(value), float(start), float(end), int(prompts)) for value, start, end, prompts in rows]


def _end(parts: Array, totals: Array, ratio: Array, direction: float, alpha: float, clusters: Sequence[str]) -> Array:
    """(m,) the last share, going from `ratio` up (1) or down (-1), that is not rejected; NaN where there is none."""

    def is_rejected(share: Array) -> Array:
        return np.asarray(mean_p_values(parts - share[:, None] * totals, clusters) < alpha)

    inner, outer, step = ratio.copy(), ratio + direction, 1.0
    for _ in range(_DOUBLINGS):
        going = np.logical_not(is_rejected(outer)) & np.isfinite(outer)
        if not going.any():
            break
        step *= 2
        inner = np.where(going, outer, inner)
        outer = np.where(going, ratio + direction * step, outer)
    else:
        outer = np.where(is_rejected(outer), outer, np.nan)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        beyond = is_rejected(middle)
        inner, outer = np.where(beyond, inner, middle), np.where(beyond, middle, outer)
    return outer
