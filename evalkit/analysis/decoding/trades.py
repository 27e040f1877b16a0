"""What a path has of one measure where it has as much of another as the baseline, with its interval.

The place where they are equal is itself an estimate, and both measures are of the same prompts. So prompts are
resampled with their whole curves, both measures' and the starting arm's together: every resample has a crossing and a
reading of its own. Resamples without a crossing count as if the reading could be anything, so that an interval with an
end among them has none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.intervals import resampled_means
from evalkit.metrics.decoding import Ranged
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE

NOTHING = Ranged(None, None, None)


@dataclass(frozen=True)
class Resampled:
    """Measures of A arms minus the baseline's, higher is better: their means, and those of resampled prompts."""

    means: tuple[Array, ...]
    """(1, A) of each measure."""
    drawn: tuple[Array, ...]
    """(B, A) of each measure, by the same resamples; empty below two units of resampling."""


@dataclass(frozen=True)
class WhereEqual:
    """What a path offers where its level is the baseline's."""

    place: float
    """In steps along the path, from 0; NaN where they meet nowhere."""
    against_baseline: Ranged
    against_start: Ranged


def resample(measures: Sequence[Array]) -> Resampled:
    """(A, C) each, a column a unit of resampling: units are drawn with all that they have of every measure."""
    means = tuple(values.mean(axis=1)[None, :] for values in measures)
    if measures[0].shape[1] < 2:
        return Resampled(means, ())
    drawn = resampled_means(np.vstack(measures).T)
    return Resampled(means, tuple(np.split(drawn, len(measures), axis=1)))


def read_where_equal(found: Resampled, path: Sequence[int], start: int, level: int, offer: int) -> WhereEqual:
    """Along the arms `path`, where measure `level` is the baseline's: measure `offer`, and its change from `start`."""
    [place], [value] = met(found.means[level][:, path], found.means[offer][:, path])
    if math.isnan(value):
        return WhereEqual(math.nan, NOTHING, NOTHING)
    change = value - found.means[offer][0, start]
    if not found.drawn:
        return WhereEqual(float(place), Ranged(float(value), None, None), Ranged(float(change), None, None))
    levels, offers = found.drawn[level], found.drawn[offer]
    _, values = met(levels[:, path], offers[:, path])
    return WhereEqual(float(place), _ranged(value, values), _ranged(change, values - offers[:, start]))


def met(levels: Array, offers: Array) -> tuple[Array, Array]:
    """Where each path's level is zero, and what it offers there: (B,) each, of (B, S) points joined by straight lines.

    Of several places the one that offers most, for a user would choose it; NaN where there is none.
    """
    places, best = np.full(len(levels), np.nan), np.full(len(levels), -np.inf)
    for left in range(levels.shape[1] - 1):
        a, b = levels[:, left], levels[:, left + 1]
        crosses = (np.minimum(a, b) <= 0) & (np.maximum(a, b) >= 0) & (a != b)
        share = np.divide(a, a - b, out=np.zeros_like(a), where=crosses)
        offer = offers[:, left] + share * (offers[:, left + 1] - offers[:, left])
        is_better = crosses & (offer > best)
        places, best = np.where(is_better, left + share, places), np.where(is_better, offer, best)
    return places, np.where(np.isneginf(best), np.nan, best)


def _ranged(value: float, drawn: Array) -> Ranged:
    value = float(value)
    low = np.quantile(np.where(np.isnan(drawn), -np.inf, drawn), (1 - CONFIDENCE) / 2, method="lower")
    high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), (1 + CONFIDENCE) / 2, method="higher")
    if not (math.isfinite(low) and math.isfinite(high)):
        return Ranged(value, None, None)
    # Of few prompts a reading that bends may lie outside of what is drawn; an interval holds at least what was seen.
    return Ranged(value, min(float(low), value), max(float(high), value))


def turned(ranged: Ranged, sign: float) -> Ranged:
    """In a measure's own sign."""
    if sign > 0 or ranged.value is None:
        return ranged
    low, high = (None if end is None else -end for end in (ranged.high, ranged.low))
    return Ranged(-ranged.value, low, high)
