"""Variance of what is summed over pairs and raters at once. Pure functions of arrays.

An observation is of one pair and of one rater (an answer) or two (a couple of answers that agree or do not). Two
observations vary together where they share the pair or a rater: their products are added up by inclusion and exclusion
(Cameron, Gelbach & Miller 2011 on two-way clusters; Aronow, Samii & Assenova 2015 on couples).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE

Index = NDArray[np.int64]
PAIRS, PAIRS_AND_RATERS = "pairs", "pairs and raters"
UPPER = (1 + CONFIDENCE) / 2
LEAST_RATERS = 3
"""Fewer are no sample of raters: the interval is then over pairs alone, for these very raters."""


@dataclass(frozen=True, slots=True)
class Observations:
    """N answers or couples of answers."""

    pair: Index
    """[N] which pair."""
    first: Index
    """[N] whose answer."""
    second: Index
    """[N] whose answer the other one is; of a single answer, or a repeated one, `first` again."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval at `CONFIDENCE`; NaN where undefined."""

    value: float
    low: float
    high: float
    pairs: int
    """Pairs that say something of it."""
    raters: int
    """Raters whose answers do."""
    over: str
    """What the interval is over: `pairs and raters`, or `pairs` where the raters are too few to be a sample."""


def reach(observed: Observations, influence: Array, strata: Sequence[Index]) -> tuple[float, str]:
    """Half the width of the interval of a statistic, and what it is over; NaN of a single pair.

    `influence` [N]: what each observation adds to the statistic's difference from its value; they add up to 0.
    `strata`: the raters of each group of which the statistic is. Degrees of freedom are Satterthwaite's (1946), so that
    five raters are not taken for fifty.
    """
    pairs = len(np.unique(observed.pair))
    if pairs < 2:
        return float("nan"), PAIRS
    between_pairs = _squares(observed.pair, influence) * pairs / (pairs - 1)
    smallest = min(len(stratum) for stratum in strata)
    if smallest < LEAST_RATERS:
        return float(scipy_stats.t.ppf(UPPER, pairs - 1) * np.sqrt(between_pairs)), PAIRS
    whole, excess = _between_raters(observed, influence, strata, smallest)
    variance = between_pairs + excess
    # The excess is a difference: it scatters more than its size says and less than what it was taken from. The mean of
    # the two holds the level in simulations (bench/agreement.py).
    scatter = between_pairs**2 / (pairs - 1) + ((excess + whole) / 2) ** 2 / (smallest - 1)
    freedom = max(variance**2 / scatter, min(smallest, pairs) - 1) if scatter > 0 else pairs - 1
    return float(scipy_stats.t.ppf(UPPER, freedom) * np.sqrt(variance)), PAIRS_AND_RATERS


def _between_raters(
    observed: Observations, influence: Array, strata: Sequence[Index], smallest: int
) -> tuple[float, float]:
    """Variance of the raters' sums, and what of it the pairs' sums do not hold already."""
    by_rater = _by_rater(observed, influence)
    whole = sum(float((by_rater[stratum] ** 2).sum()) for stratum in strata)
    are_couples = len(strata) == 1 and bool((observed.first != observed.second).any())
    # Influences are taken from the estimate, to which each rater has drawn nearer; among couples of one group by both.
    factor = smallest * (smallest - 1) / (smallest - 2) ** 2 if are_couples else smallest / (smallest - 1)
    excess = whole - _of_couples(observed, influence) - _of_answers(observed, influence)
    return factor * whole, factor * max(0.0, excess)


def _squares(label: Index, influence: Array) -> float:
    """Sum over labels of the square of the influences that bear it."""
    _, dense = np.unique(label, return_inverse=True)
    return float((np.bincount(dense, influence) ** 2).sum())


def _by_rater(observed: Observations, influence: Array) -> Array:
    """[R] influence of all observations in which a rater has part."""
    several = observed.first != observed.second
    size = int(max(observed.first.max(), observed.second.max())) + 1
    alone = np.bincount(observed.first, influence, size)
    return np.asarray(alone + np.bincount(observed.second[several], influence[several], size))


def _of_couples(observed: Observations, influence: Array) -> float:
    """What observations share that are of the same two raters: both of their sums hold it."""
    several = observed.first != observed.second
    low, high = np.minimum(observed.first, observed.second), np.maximum(observed.first, observed.second)
    return _squares((low * (int(high.max()) + 1) + high)[several], influence[several])


def _of_answers(observed: Observations, influence: Array) -> float:
    """What observations share that are of one pair and of one rater at least: the pairs' sums hold it already."""
    several = observed.first != observed.second
    size = int(max(observed.first.max(), observed.second.max())) + 1
    label = np.concatenate([observed.pair * size + observed.first, (observed.pair * size + observed.second)[several]])
    same_two = _squares(
        (observed.pair * size + observed.first) * size + observed.second, np.where(several, influence, 0)
    )
    return _squares(label, np.concatenate([influence, influence[several]])) - same_two
