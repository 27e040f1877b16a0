"""Intervals, paired differences and corrections; pure functions of arrays. The prompt is the unit of resampling.

An interval of a mean is the wider, on each side by itself, of Student's t and of Hall's (1992) transformation of it,
which takes out the skewness that the values show. Student's alone misses the long side of skewed values (a lognormal's
mean in 13 of 100 trials at 20 prompts), Hall's alone the ends of long-tailed ones (Student's t with 3 degrees of
freedom: 8 of 100); the wider of the two holds from 8 prompts on for all distributions that `bench/intervals.py` tries,
and is a closed form: nothing is drawn, and ten thousand prompts cost no memory. The p-value of "the mean is 0" is the
larger of the two tests' for each side, doubled: below 1 - confidence exactly where the interval excludes 0. Differences
are paired by prompt, and Holm (1979) corrects for their number.

Prompts that belong together (paraphrases of one question) are one draw: their cluster is that unit. The mean
stays the mean over prompts; its error is that of a ratio of sums over clusters, by the jackknife (Miller 2024, "Adding
error bars to evals"; MacKinnon, Nielsen & Webb 2023 on clusters of unequal size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy import stats as scipy_stats

from evalkit.plumbing.arrays import Array

Bounds = tuple[float, float]
"""(lowest, highest) value that a measure can have on a prompt; infinite where there is none."""
RESAMPLES = 10_000
FEW = 20
"""Units of resampling below which the page warns: an interval then leans on the shape of the distribution."""
_ALIKE = 1e-12
"""Values that differ by less, as a share of the largest, differ by rounding."""
_CHUNK = 2**23
"""Cells of the table of resamples that are held at once: 64 MiB."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over the defined values; NaN where there are too few of them (interval: two units, value: one)."""

    value: float
    low: float
    high: float
    count: int
    """Prompts on which it is defined."""


def mean_intervals(
    values: Array, confidence: float, clusters: Sequence[str] = (), bounds: Bounds | None = None
) -> list[Mean]:
    """Mean and interval of every row of `values` (m metrics x P prompts, NaN where undefined).

    `clusters`: to which cluster each of the P prompts belongs; empty: each is its own. `bounds`: no interval leaves
    them. Values that are all equal have an interval of no width, unless both bounds are finite: a share of up to
    1 - ((1 - confidence) / 2)^(1/n) of all prompts could still be anything, when n were seen and none was (Clopper &
    Pearson 1934; the rule of three). A point is no interval, and the page says so.
    """
    moments = _moments(by_cluster(values, clusters))
    below, above = _reaches(moments, _critical(moments.count, (1 - confidence) / 2))
    low, high = bounds or (-np.inf, np.inf)
    if np.isfinite([low, high]).all():
        unseen = np.where(moments.is_constant, 1 - ((1 - confidence) / 2) ** (1 / np.maximum(moments.count, 1)), 0.0)
        below, above = below + unseen * np.abs(moments.mean - low), above + unseen * np.abs(high - moments.mean)
    below, above = np.minimum(below, np.abs(moments.mean - low)), np.minimum(above, np.abs(high - moments.mean))
    prompts = np.count_nonzero(~np.isnan(values), axis=1)
    rows = zip(moments.mean, moments.mean - below, moments.mean + above, prompts, strict=True)
    return [Mean(float(value), float(start), float(end), int(count)) for value, start, end, count in rows]


def mean_p_values(values: Array, clusters: Sequence[str] = (), bounds: Bounds | None = None) -> Array:
    """Two-sided p-value of "the mean is zero" of every row (m x P, NaN where undefined); NaN below two units.

    Below 1 - confidence exactly where the interval of `mean_intervals` excludes 0. Where all values are equal, so that
    it may be a point, p is the sign test's, 2^(1 - n), or larger where bounds leave more room on the other side of 0;
    1 where all are 0.
    """
    moments = _moments(by_cluster(values, clusters))
    above, below = _tails(moments)
    p = np.clip(2 * np.minimum(above, below), np.finfo(np.float64).tiny, 1.0)
    size, room = np.abs(moments.mean), _towards_zero(moments.mean, bounds)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(np.isinf(room), 0.5, room / (size + room))
        alike = np.clip(2 * share**moments.count, np.finfo(np.float64).tiny, 1.0)
    alike = np.where(moments.is_zero, 1.0, np.where(moments.count < 2, np.nan, alike))
    return np.asarray(np.where(moments.is_constant, alike, p), dtype=np.float64)


def contrast_p_values(here: Array, there: Array, clusters: Sequence[str] = (), others: Sequence[str] = ()) -> Array:
    """Two-sided p-value of "the mean is the same here and there" of every row (m x P and m x Q, NaN where undefined).

    The larger of two: Welch's, which holds where the sides vary differently; and the permutation test's, which holds
    where few units face many and values are skewed, which few units do not show: by the Pearson curve of type III that
    has the first three moments of all ways to choose these units from among all (Mielke & Berry 2007). Hall's
    transformation would go by the skewness of the few, and find no more of what is plain (a mean 2.5 standard
    deviations off, of 12 prompts among 120) than of what is not. `clusters` and `others`: to which cluster each
    of the P and of the Q prompts belongs. A side whose values are all equal is taken to vary as the other does: few
    equal values are no sign that there is no spread. Where both sides' are, p is twice the chance to choose just these,
    2 / C(P + Q, P), and 1 where all are the same. NaN below two units on either side.
    """
    inside, outside = by_cluster(here, clusters), by_cluster(there, others)
    one, other = _moments(inside), _moments(outside)
    moments = _contrast(one, other)
    above, below = _tails(moments)
    p = np.maximum(2 * np.minimum(above, below), _by_permutation(inside, outside))
    p = np.clip(p, np.finfo(np.float64).tiny, 1.0)
    by_lot = np.clip(2 / special.binom(one.count + other.count, one.count), np.finfo(np.float64).tiny, 1.0)
    alike = np.where(moments.is_zero, 1.0, by_lot)
    known = (one.count > 1) & (other.count > 1)
    return np.asarray(np.where(known, np.where(moments.is_constant, alike, p), np.nan), dtype=np.float64)


def _by_permutation(here: Array, there: Array) -> Array:
    """(m,) two-sided p-values of rows (m x P and m x Q) of the same units in another order, each unit a draw."""
    every = np.concatenate([here, there], axis=1)
    defined = ~np.isnan(every)
    n, total = (~np.isnan(here)).sum(axis=1), defined.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.where(defined, every, 0.0).sum(axis=1) / total
        centred = np.where(defined, every - centre[:, None], 0.0)
        spread = np.sqrt((centred**2).sum(axis=1) / total)
        third = ((centred / spread[:, None]) ** 3).sum(axis=1) / total
        left = (total - n) / (n * (total - 1))
        distance = centred[:, : here.shape[1]].sum(axis=1) / n / (spread * np.sqrt(left))
        skewness = third * (total - 2 * n) * (total - n) / (n**2 * (total - 1) * (total - 2)) / left**1.5
        skewness = np.where(np.isfinite(skewness), skewness, 0.0)
        above = scipy_stats.pearson3.sf(distance, skewness)
    return np.asarray(2 * np.minimum(above, 1 - above), dtype=np.float64)


def _contrast(one: _Moments, other: _Moments) -> _Moments:
    """Those of the difference of two means; its count is that of a single sample with as many degrees of freedom."""
    both = one.is_constant & other.is_constant
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = one.error**2, other.error**2
        first, second = (
            np.where(one.is_constant, second * other.count / one.count, first),
            np.where(other.is_constant, first * one.count / other.count, second),
        )
        error = np.sqrt(first + second)
        freedom = (first + second) ** 2 / (first**2 / (one.count - 1) + second**2 / (other.count - 1))
    mean = one.mean - other.mean
    is_zero = both & (np.abs(mean) <= _ALIKE * np.maximum(np.abs(one.mean), np.abs(other.mean)))
    return _Moments(np.where(both, 2.0, freedom + 1), mean, error, np.zeros_like(mean), both, is_zero)


def tails(values: Array) -> tuple[float, float]:
    """One-sided p-values of n values (1-D, without NaN, not all equal): of "the mean is at most 0", of "at least 0"."""
    above, below = _tails(_moments(values[None, :]))
    return float(above[0]), float(below[0])


def reaches(values: Array, alpha: float) -> tuple[float, float]:
    """How far below and above their mean the bounds lie that `tails` at level `alpha` would just not reject (1-D)."""
    moments = _moments(values[None, :])
    below, above = _reaches(moments, _critical(moments.count, alpha))
    return float(below[0]), float(above[0])


def by_cluster(values: Array, clusters: Sequence[str]) -> Array:
    """One number a cluster (m x C) that has the mean over prompts, and its standard error as if each were a draw.

    The mean plus the cluster's influence on it by the delete-one jackknife (Tukey 1958), (C - 1) times what the mean
    changes by without the cluster, less the influences' mean: a cluster that is larger than others pulls the mean
    towards itself, and its distance alone would be too short. NaN where it has no defined prompt. `values`: m x P;
    clusters of one prompt each leave them as they are.
    """
    names, member = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    if len(names) in (0, values.shape[1]):
        return values
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(names)))
    defined = ~np.isnan(values)
    sums = np.add.reduceat(np.where(defined, values, 0.0)[:, order], starts, axis=1)
    counts = np.add.reduceat(defined[:, order].astype(np.float64), starts, axis=1)
    prompts, present = counts.sum(axis=1, keepdims=True), counts > 0
    drawn = present.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum(axis=1, keepdims=True) / prompts
        influence = np.where(present & (prompts > counts), (drawn - 1) * (sums - counts * mean) / (prompts - counts), 0)
        centred = influence - influence.sum(axis=1, keepdims=True) / drawn
    return np.asarray(np.where(present, mean + centred, np.nan), dtype=np.float64)


def units(clusters: Sequence[str], prompts: int) -> int:
    """How many units of resampling so many prompts are."""
    return len(set(clusters)) or prompts


def resampled_means(values: Array, seed: int = 0) -> Array:
    """Means over resampled units: (RESAMPLES, m) for `values` (n, m) without NaN, whose columns share them.

    Each column keeps the order in which the resamples fall, and is spread as the intervals of `mean_intervals` say: its
    2.5 % quantile is such an interval's end. As they fall, resampled means are too close to each other, and skewed to
    the wrong side. Resamples that tie are ranked as they were drawn, in every column the same: at one rank in the
    middle, the third of them that miss the one prompt which differs would all lie on its side of 0. At most `_CHUNK`
    cells of the table of resamples are held at once.
    """
    count = len(values)
    rows = max(1, min(RESAMPLES, _CHUNK // count))
    parts = [_resample_counts(count, min(rows, RESAMPLES - at), seed + at) @ values for at in range(0, RESAMPLES, rows)]
    # A tie counts as one: sums taken in another order differ in their last bits.
    fallen = np.round(np.concatenate(parts) / (np.abs(values).max(axis=0) + np.finfo(np.float64).tiny), 10)
    ranks = scipy_stats.rankdata(fallen, method="ordinal", axis=0)
    moments = _moments(values.T)
    nearer = np.minimum(ranks, RESAMPLES + 1 - ranks)
    below, above = _reaches(moments, _critical_at_ranks(count)[nearer])
    return np.asarray(moments.mean + np.where(2 * ranks <= RESAMPLES, -below, above), dtype=np.float64)


def holm(p_values: Array) -> Array:
    """Holm's step-down adjusted p-values, at most 1; NaN stays NaN and does not count."""
    adjusted = np.full(p_values.shape, np.nan)
    order = np.argsort(p_values)[: int(np.count_nonzero(~np.isnan(p_values)))]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * steps), 1.0)
    return adjusted


@dataclass(frozen=True, slots=True)
class _Moments:
    """What each row's interval is made of, (m,) each."""

    count: Array
    mean: Array
    error: Array
    """Standard error of the mean; 0 where all values are equal, NaN below two."""
    skewness: Array
    """That of the mean: of the values, over the root of their number."""
    is_constant: NDArray[np.bool_]
    is_zero: NDArray[np.bool_]


def _moments(values: Array) -> _Moments:
    defined = ~np.isnan(values)
    count = defined.sum(axis=1).astype(np.float64)
    filled = np.where(defined, values, 0.0)
    largest = np.abs(filled).max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=1) / count
        centred = np.where(defined, values - mean[:, None], 0.0)
        farthest = np.abs(centred).max(axis=1, initial=0.0)
        is_constant = (farthest <= _ALIKE * largest) & (count > 0)
        spread = np.sqrt((centred**2).sum(axis=1) / count)
        error = np.where(count < 2, np.nan, np.where(is_constant, 0.0, spread / np.sqrt(count - 1)))
        # Scaled first: the cube of a large value overflows.
        third = ((centred / spread[:, None]) ** 3).sum(axis=1)
        # Unbiased third moment over the cubed root of the biased second: few values show less skewness than they have.
        skewness = third * count / ((count - 1) * (count - 2)) / np.sqrt(count)
    skewness = np.where(is_constant | (count < 3), 0.0, skewness)
    return _Moments(count, mean, error, skewness, is_constant, is_constant & (largest == 0))


def _tails(moments: _Moments) -> tuple[Array, Array]:
    """(m,) one-sided p-values of "the mean is at most 0" and of "at least 0"."""
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(moments.is_constant, np.nan, moments.mean / moments.error)
    turned = _hall(statistic, moments.skewness)
    freedom = np.maximum(moments.count - 1, 1)
    above = scipy_stats.t.sf(np.minimum(statistic, turned), freedom)
    below = scipy_stats.t.cdf(np.maximum(statistic, turned), freedom)
    return np.asarray(above), np.asarray(below)


def _critical(count: Array, alpha: float) -> Array:
    return np.asarray(scipy_stats.t.isf(alpha, np.maximum(count - 1, 1)), dtype=np.float64)


@lru_cache(maxsize=4)
def _critical_at_ranks(count: int) -> Array:
    """Student's quantile at each rank among the resamples, from 0, which none has, to the middle one."""
    ranks = np.arange(RESAMPLES // 2 + 1)
    return np.asarray(scipy_stats.t.isf(np.maximum(ranks - 0.5, 0.5) / RESAMPLES, count - 1), dtype=np.float64)


def _reaches(moments: _Moments, critical: Array) -> tuple[Array, Array]:
    """How far below and above the mean Student's bounds or Hall's lie; `critical`: Student's quantiles, (..., m)."""
    below = np.maximum(critical, _hall_inverse(critical, moments.skewness)) * moments.error
    above = np.maximum(critical, -_hall_inverse(-critical, moments.skewness)) * moments.error
    return below, above


def _hall(statistic: Array, skewness: Array) -> Array:
    """Hall's monotone cubic of a t statistic whose mean has this skewness: nearer to symmetric, nearer to Student's."""
    bent = skewness * statistic / 3
    return np.asarray(statistic * (1 + bent + bent**2 / 3) + skewness / 6)


def _hall_inverse(turned: Array, skewness: Array) -> Array:
    plain = np.abs(skewness) < 1e-6
    safe = np.where(plain, 1.0, skewness)
    bent = 3 / safe * (np.cbrt(1 + safe * (turned - safe / 6)) - 1)
    return np.asarray(np.where(plain, turned, bent))


def _towards_zero(mean: Array, bounds: Bounds | None) -> Array:
    """How far values may lie on the other side of 0: 0 for a mean of 0, infinite without a bound on either side."""
    low, high = bounds or (-np.inf, np.inf)
    beyond = np.where(mean > 0, max(0.0, -low), max(0.0, high)) if np.isfinite([low, high]).all() else np.inf
    return np.where(mean == 0, 0.0, beyond)


@lru_cache(maxsize=2)
def _resample_counts(count: int, rows: int, seed: int) -> Array:
    """(rows, count): how often each unit is drawn in each resample."""
    generator = np.random.default_rng([seed, count])
    drawn = generator.integers(0, count, size=(rows, count), dtype=np.int32)
    drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(count)
    counts = np.bincount(drawn.ravel(), minlength=rows * count)
    return counts.reshape(rows, count).astype(np.float64)
