"""Intervals, paired differences and corrections; pure functions of arrays. The prompt is the unit of chance.

Intervals of a mean over prompts are BCa bootstrap intervals (Efron 1987) with 10 000 resamples, or, below 20 prompts,
Student's t. Differences are paired by prompt; their p-values come from flipping the signs of the differences at random,
which for a mean is the permutation test of the t statistic (Janssen 1997), and Holm (1979) corrects for their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from evalkit.records import CONFIDENCE

Array = NDArray[np.float64]
RESAMPLES = 10_000
_UPPER = (1 + CONFIDENCE) / 2
FEW = 20
"""Below so many prompts a bootstrap interval is too short, and Student's t is used instead."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over the defined values; NaN where there are too few of them (interval: two, value: one)."""

    value: float
    low: float
    high: float
    count: int


def mean_intervals(values: Array, confidence: float, seed: int = 0) -> list[Mean]:
    """Mean and interval of every row of `values` (m metrics x P prompts, NaN where undefined).

    Rows share their resamples, so that ten metrics cost little more than one.
    """
    defined = ~np.isnan(values)
    results: list[Mean | None] = [None] * len(values)
    many: list[int] = []
    for row, mask in enumerate(defined):
        count = int(mask.sum())
        if count >= FEW and np.ptp(values[row, mask]) > 0:
            many.append(row)
        else:
            results[row] = _small_mean(values[row, mask], confidence)
    if many:
        for row, mean in zip(many, _bca(values[many], confidence, seed), strict=True):
            results[row] = mean
    return [mean for mean in results if mean is not None]


def resampled_means(values: Array, seed: int = 0) -> Array:
    """Means over resampled prompts: (RESAMPLES, m) for `values` (P, m) without NaN; columns share their resamples.

    Spread around the mean by sqrt(P / (P - 1)) times Student's over the normal quantile: a percentile interval of few
    prompts is too short by that much.
    """
    prompts = len(values)
    mean = values.mean(axis=0)
    wider = np.sqrt(prompts / (prompts - 1)) * scipy_stats.t.ppf(_UPPER, prompts - 1) / scipy_stats.norm.ppf(_UPPER)
    resampled = _resample_counts(prompts, seed) @ values / prompts
    return np.asarray(mean + wider * (resampled - mean), dtype=np.float64)


def sign_flip_p(differences: Array, seed: int = 0) -> float:
    """Two-sided p-value of "the mean difference is zero" (1-D, NaN dropped); exact by enumeration when 2^P is small."""
    return float(sign_flip_p_values(differences[None, :], seed)[0])


def sign_flip_p_values(differences: Array, seed: int = 0) -> Array:
    """`sign_flip_p` of every row; rows share their flips, so that twenty cost little more than one."""
    defined = ~np.isnan(differences)
    p_values = np.full(len(differences), np.nan)
    many = np.count_nonzero(defined, axis=1) >= np.log2(RESAMPLES)
    for row in np.flatnonzero(~many):
        p_values[row] = _exact_p(differences[row, defined[row]])
    if many.any():
        # A flipped zero is a zero, so that an undefined prompt takes no part.
        kept = np.where(defined[many], differences[many], 0.0)
        p_values[many] = (_at_least_as_far(kept, _random_signs(kept.shape[1], seed)) + 1) / (RESAMPLES + 1)
    return p_values


def _exact_p(kept: Array) -> float:
    if kept.size < 2:
        return float("nan")
    signs = _all_signs(kept.size)
    return float(_at_least_as_far(kept[None, :], signs)[0]) / len(signs)


def _at_least_as_far(kept: Array, signs: Array) -> Array:
    """How many flips of each row sum to at least its own sum, without sign."""
    observed = np.abs(kept.sum(axis=1))
    # Sums taken in another order differ in their last bits, and a tie must count as one.
    return np.asarray((np.abs(signs @ kept.T) >= observed * (1 - 1e-12)).sum(axis=0), dtype=np.float64)


def holm(p_values: Array) -> Array:
    """Holm's step-down adjusted p-values, at most 1; NaN stays NaN and does not count."""
    adjusted = np.full(p_values.shape, np.nan)
    order = np.argsort(p_values)[: int(np.count_nonzero(~np.isnan(p_values)))]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * steps), 1.0)
    return adjusted


def _small_mean(kept: Array, confidence: float) -> Mean:
    if kept.size == 0:
        return Mean(float("nan"), float("nan"), float("nan"), 0)
    value = float(kept.mean())
    if kept.size == 1:
        return Mean(value, float("nan"), float("nan"), 1)
    reach = float(scipy_stats.t.ppf((1 + confidence) / 2, kept.size - 1) * kept.std(ddof=1) / np.sqrt(kept.size))
    return Mean(value, value - reach, value + reach, int(kept.size))


def _bca(values: Array, confidence: float, seed: int) -> list[Mean]:
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    counts = defined.sum(axis=1)
    means = filled.sum(axis=1) / counts
    weights = _resample_counts(values.shape[1], seed)
    # A resample that drew no defined prompt at all has no mean; with 20 or more defined it is vanishingly rare.
    drawn = weights @ defined.T.astype(np.float64)
    with np.errstate(invalid="ignore"):
        resampled = (weights @ filled.T) / drawn
    centred = np.where(defined, values - means[:, None], 0.0)
    acceleration = (centred**3).sum(axis=1) / (6 * (centred**2).sum(axis=1) ** 1.5)
    results = []
    for row, mean in enumerate(means):
        column = resampled[~np.isnan(resampled[:, row]), row]
        low, high = _bca_bounds(column, float(mean), float(acceleration[row]), confidence)
        results.append(Mean(float(mean), low, high, int(counts[row])))
    return results


def _bca_bounds(resampled: Array, mean: float, acceleration: float, confidence: float) -> tuple[float, float]:
    below = np.mean(resampled < mean) + np.mean(resampled == mean) / 2
    edge = 1 / (2 * len(resampled))
    bias = scipy_stats.norm.ppf(np.clip(below, edge, 1 - edge))
    quantiles = scipy_stats.norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    shifted = bias + quantiles
    levels = scipy_stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(resampled, levels)
    return float(low), float(high)


@lru_cache(maxsize=4)
def _resample_counts(prompts: int, seed: int) -> Array:
    """(RESAMPLES, P): how often each prompt is drawn in each resample."""
    generator = np.random.default_rng([seed, prompts])
    drawn = generator.integers(0, prompts, size=(RESAMPLES, prompts), dtype=np.int32)
    drawn += np.arange(RESAMPLES, dtype=np.int32)[:, None] * np.int32(prompts)
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * prompts)
    return counts.reshape(RESAMPLES, prompts).astype(np.float64)


@lru_cache(maxsize=4)
def _random_signs(prompts: int, seed: int) -> Array:
    """RESAMPLES random rows of +-1."""
    generator = np.random.default_rng([seed, prompts, 1])
    bits = np.frombuffer(generator.bytes(RESAMPLES * -(-prompts // 8)), np.uint8).reshape(RESAMPLES, -1)
    return np.asarray(1.0 - 2.0 * np.unpackbits(bits, axis=1, count=prompts), np.float64)


def _all_signs(prompts: int) -> Array:
    """All 2^P rows of +-1."""
    bits = (np.arange(2**prompts)[:, None] >> np.arange(prompts)) & 1
    return np.asarray(1 - 2 * bits, np.float64)
