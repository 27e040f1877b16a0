"""Frontiers over temperature: diversity read at equal quality, quality read at equal diversity. Pure.

Temperature trades quality for diversity, so two checkpoints at one temperature differ in both, and which trades better
cannot be told. A checkpoint at several temperatures is a path of points joined by straight lines; at a level q of
quality it offers the largest diversity that the path has at quality q or more, so that a path that turns back offers
what is best on it. Two paths are compared over the range of levels that both reach: nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.estimates import Measured
from evalkit.analysis.intervals import by_cluster, resampled_means
from evalkit.metrics.summary import Reading
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.records import CONFIDENCE, Arm

LEVELS = 33
"""Levels that the gap is averaged over, evenly spread over the common range, ends included."""
UNREACHED = 0.05
"""Share of resamples without a common range above which a gap has no interval."""


@dataclass(frozen=True)
class Sweep:
    """One checkpoint's arms by temperature: a path on the plane of quality and diversity."""

    checkpoint: str
    arms: tuple[str, ...]


def read_sweeps(
    arms: Sequence[Arm], quality: Measured, diversities: Sequence[Measured], clusters: Sequence[str] = ()
) -> list[Reading]:
    """Every checkpoint against its baseline, wherever one of them has several temperatures.

    For each measure of diversity two readings: its gap at equal quality, and the gap of quality at equal diversity.
    `clusters`: that of each prompt, where prompts belong together.
    """
    sweeps = _sweeps(arms)
    readings = []
    for checkpoint, baseline in compared_checkpoints(arms):
        sweep, of_baseline = sweeps[checkpoint], sweeps[baseline]
        if max(len(sweep.arms), len(of_baseline.arms)) > 1:
            for diversity in diversities:
                readings.append(_read(sweep, of_baseline, diversity, quality, clusters))
                readings.append(_read(sweep, of_baseline, quality, diversity, clusters))
    return readings


def gaps(levels: tuple[Array, Array], offers: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """Mean gap of two paths over their common range, and its two ends; [B] each, NaN where there is no such range.

    `levels`, `offers`: for either path the means on the axis where they are made equal and on the other, [B, points],
    higher is better on both.
    """
    start = np.maximum(*(path.min(axis=1) for path in levels))
    end = np.minimum(*(path.max(axis=1) for path in levels))
    at = start[:, None] + (end - start)[:, None] * np.linspace(0, 1, LEVELS)
    first, second = (offered(path, offer, at) for path, offer in zip(levels, offers, strict=True))
    gap = np.where(start <= end, (first - second).mean(axis=1), np.nan)
    return gap, start, end


def offered(levels: Array, offers: Array, at: Array) -> Array:
    """The largest offer of each path where its level is `at` or more: [B, L] for paths [B, points] and `at` [B, L]."""
    best = np.full(at.shape, -np.inf)
    # The last level was computed from the path's own ends, and may be off by a rounding error.
    reached = at - 1e-12 * np.maximum(1, np.abs(at))
    for point in range(levels.shape[1]):
        is_reached = levels[:, point, None] >= reached
        best = np.where(is_reached, np.maximum(best, offers[:, point, None]), best)
    for left in range(levels.shape[1] - 1):
        a, b = levels[:, left, None], levels[:, left + 1, None]
        crosses = np.minimum(a, b) < at
        crosses &= np.maximum(a, b) >= at
        share = np.divide(at - a, b - a, out=np.zeros_like(at), where=crosses)
        crossing = offers[:, left, None] + share * (offers[:, left + 1] - offers[:, left])[:, None]
        best = np.where(crosses, np.maximum(best, crossing), best)
    return best


def _sweeps(arms: Sequence[Arm]) -> dict[str, Sweep]:
    """Checkpoint -> its sweep: those of its arms that differ from its first in temperature alone."""
    by_checkpoint: dict[str, list[Arm]] = {}
    for arm in arms:
        of_one = by_checkpoint.setdefault(arm.checkpoint, [])
        if not of_one or _cuts(arm) == _cuts(of_one[0]):
            of_one.append(arm)
    return {
        name: Sweep(name, tuple(arm.name for arm in sorted(of_one, key=_temperature)))
        for name, of_one in by_checkpoint.items()
    }


def _cuts(arm: Arm) -> tuple[float, ...]:
    """All that decides its distribution but for the temperature."""
    return arm.sampling.distribution[1:] if arm.sampling else ()


def _temperature(arm: Arm) -> float:
    return arm.sampling.temperature if arm.sampling else 0.0


def compared_checkpoints(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """(checkpoint, baseline checkpoint) of every comparison between two checkpoints."""
    checkpoint_of = {arm.name: arm.checkpoint for arm in arms}
    pairs = dict.fromkeys(
        (arm.checkpoint, checkpoint_of[arm.baseline]) for arm in arms if arm.baseline in checkpoint_of
    )
    return [(checkpoint, baseline) for checkpoint, baseline in pairs if checkpoint != baseline]


def _read(sweep: Sweep, baseline: Sweep, metric: Measured, equal: Measured, clusters: Sequence[str]) -> Reading:
    """The gap of `metric` between two sweeps at equal values of `equal`."""
    level, offer = _values(equal, sweep, baseline), _values(metric, sweep, baseline)
    both = np.hstack([level, offer])
    both[np.isnan(both).any(axis=1)] = np.nan
    both = by_cluster(both.T, clusters).T
    level, offer = np.split(both[~np.isnan(both).any(axis=1)], 2, axis=1)
    value, low, high, start, end = _gap(level, offer, len(sweep.arms))
    sign = -1 if metric.better == "lower" else 1
    low, high = (low, high) if sign > 0 else (-high, -low)
    first, last = (-end, -start) if equal.better == "lower" else (start, end)
    return Reading(
        checkpoint=sweep.checkpoint,
        baseline=baseline.checkpoint,
        metric=metric.measure,
        at_equal=equal.measure,
        signature=f"{metric.signature} at {equal.signature}",
        value=finite_or_none(sign * value),
        low=finite_or_none(low),
        high=finite_or_none(high),
        start=finite_or_none(first),
        end=finite_or_none(last),
    )


def _gap(level: Array, offer: Array, split: int) -> tuple[float, float, float, float, float]:
    """Gap, interval and common range of the paths in the columns either side of `split`; a row a unit of resampling."""
    nothing = (math.nan,) * 5
    if len(level) < 2:
        return nothing
    means = level.mean(axis=0)[None, :], offer.mean(axis=0)[None, :]
    [value], [start], [end] = gaps(_halves(means[0], split), _halves(means[1], split))
    if math.isnan(value):
        return nothing
    both = resampled_means(np.hstack([level, offer]))
    resampled, _, _ = gaps(_halves(both[:, : level.shape[1]], split), _halves(both[:, level.shape[1] :], split))
    reached = resampled[~np.isnan(resampled)]
    if len(reached) < (1 - UNREACHED) * len(resampled):
        return value, math.nan, math.nan, start, end
    low, high = np.quantile(reached, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    # Of few prompts the gap may lie outside of what is drawn; an interval holds at least what was seen.
    return value, min(float(low), value), max(float(high), value), start, end


def _halves(values: Array, split: int) -> tuple[Array, Array]:
    return values[:, :split], values[:, split:]


def _values(measured: Measured, *sweeps: Sweep) -> Array:
    """(P, points of all sweeps), turned so that higher is better."""
    sign = -1.0 if measured.better == "lower" else 1.0
    return sign * np.stack([measured.values[arm] for sweep in sweeps for arm in sweep.arms], axis=1)
