"""Intervals of what was asked of several raters on several prompts: both are units, and they are crossed.

Two votes on one prompt are alike because the prompt is one; two votes of one rater because the rater is. The error of
an estimate has a part of each (Cameron, Gelbach & Miller 2011): the spread of prompts, as everywhere in evalkit, and
what raters spread beyond that, by the method of moments. With fewer than `FEW` raters no spread of raters can be told
from their votes; then they are taken as they are, and the interval is about them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from evalkit.analysis.intervals import Bounds, mean_intervals
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE

FEW = 5
"""Raters, as many as equally busy ones are worth, below which the interval is about these raters alone."""
_ROUNDING = 1e-9
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crossed:
    """An estimate with its interval; NaN where fewer than two prompts were voted on."""

    value: float
    low: float
    high: float
    of_these_raters: bool
    """Whether the interval is about the raters who voted, not about others of their kind: there were too few."""


def crossed_intervals(
    estimates: Array, influence: Array, prompts: Codes, raters: Codes, bounds: Bounds | None = None
) -> list[Crossed]:
    """Interval of each of d estimates, (d,), at `CONFIDENCE`.

    `influence`: (V, d), how far each vote moves each estimate; columns add up to 0. `prompts`, `raters`: (V,), whose
    votes they are, numbered from 0 without gaps. The part of prompts is that of `mean_intervals`, on each prompt's
    pseudo-value, with its correction for skewness; that of raters, at Student's quantile for as many as they are worth,
    is added to it as squares are.
    """
    by_prompt = _sums(influence, prompts)
    means = mean_intervals((estimates + len(by_prompt) * by_prompt).T, CONFIDENCE, bounds=bounds)
    busy = effective_number(raters)
    low, high = bounds or (-np.inf, np.inf)
    if busy < FEW - _ROUNDING:
        return [Crossed(float(value), mean.low, mean.high, True) for value, mean in zip(estimates, means, strict=True)]
    extra = _spread_of_raters(influence, prompts, raters)
    reach = scipy_stats.t.isf((1 - CONFIDENCE) / 2, busy - 1) * np.sqrt(extra)
    return [
        Crossed(
            float(value),
            max(low, value - np.hypot(value - mean.low, far)),
            min(high, value + np.hypot(mean.high - value, far)),
            False,
        )
        for value, mean, far in zip(estimates, means, reach, strict=True)
    ]


def effective_number(codes: Codes) -> float:
    """How many equally busy ones they are worth (Kish): their number where all gave equally many votes."""
    counts = np.bincount(codes).astype(np.float64)
    return float(counts.sum() ** 2 / (counts**2).sum())


def codes_of(names: Sequence[object]) -> Codes:
    """(V,) numbers from 0 without gaps, in the order in which names first come."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _spread_of_raters(influence: Array, prompts: Codes, raters: Codes) -> Array:
    """(d,) what the raters' own leanings add to the variance; 0 where they spread no more than their votes would."""
    cells = codes_of(list(zip(prompts.tolist(), raters.tolist(), strict=True)))
    return np.maximum(_spread(_sums(influence, raters)) - _spread(_sums(influence, cells)), 0.0)


def _spread(sums: Array) -> Array:
    """(d,) variance of a total of so many parts, each seen once."""
    return np.asarray((sums**2).sum(axis=0) * len(sums) / max(len(sums) - 1, 1))


def _sums(influence: Array, codes: Codes) -> Array:
    """(number of codes, d) sums of rows with the same code."""
    sums = np.zeros((int(codes.max()) + 1, influence.shape[1]))
    np.add.at(sums, codes, influence)
    return sums
