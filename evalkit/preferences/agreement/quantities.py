"""How long answers take, with intervals over pairs and raters. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.coefficients import share
from evalkit.preferences.agreement.two_way import Estimate, Index, Observations, reach

NOTHING = Estimate(np.nan, np.nan, np.nan, 0, 0, "pairs")


def quantile(values: Array, rows: Index, level: float) -> Estimate:
    """Quantile of values [R, I], NaN for none, of raters `rows`; its interval is Woodruff's (1952).

    That is the interval of the share of values below the quantile, read off the values again.
    """
    there = values[rows][~np.isnan(values[rows])]
    if not len(there):
        return NOTHING
    value = float(np.quantile(there, level))
    below = share(np.where(np.isnan(values), np.nan, values <= value), rows)
    half = (below.high - below.low) / 2
    if not np.isfinite(half):
        return Estimate(value, np.nan, np.nan, below.pairs, below.raters, below.over)
    low, high = (float(np.quantile(there, min(1.0, max(0.0, level + sign * half)))) for sign in (-1, 1))
    return Estimate(value, low, high, below.pairs, below.raters, below.over)


def mean_time(values: Array, rows: Index) -> Estimate:
    """Mean of values [R, I] that are not NaN, of raters `rows`."""
    place, pair = np.nonzero(~np.isnan(values[rows]))
    if not len(pair):
        return NOTHING
    first = rows[place]
    there = values[first, pair]
    value = float(there.mean())
    raters = np.unique(first)
    half, over = reach(Observations(pair, first, first), (there - value) / len(there), [raters])
    return Estimate(value, max(0.0, value - half), value + half, len(np.unique(pair)), len(raters), over)


def pace(seconds: Estimate) -> Estimate:
    """Answers an hour, of the mean time of one."""
    value, low, high = (3600 / time if time > 0 else np.inf for time in (seconds.value, seconds.high, seconds.low))
    return Estimate(value, low, high, seconds.pairs, seconds.raters, seconds.over)
