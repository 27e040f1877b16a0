"""How two groups disagree: what of it is noise, what is persons, what is values. Pure functions of arrays.

Let P(r, c) be the probability of rater r to give answer c to a pair. Two answers of one rater to it differ with
probability 1 - sum P(r, c)^2, answers of r and s with 1 - sum P(r, c) P(s, c); the latter is the mean of the former two
plus sum (P(r, c) - P(s, c))^2 / 2, exactly, whatever the answers are. So, in means over pairs and raters,

    disagreement between two groups = noise     (mean of both groups' disagreement of raters with themselves)
                                    + persons   (mean of both groups' disagreement inside, less noise)
                                    + values    (what is left: squared distance of the groups' mean answers)

each part being a difference of shares that are seen, so that it is unbiased, and at 0 may come out below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.coefficients import Answers, couples
from evalkit.preferences.agreement.two_way import Estimate, Index, Observations, reach

NOTHING = Estimate(np.nan, np.nan, np.nan, 0, 0, "pairs")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Of two groups, in shares of couples of answers; NaN where it cannot be told."""

    total: Estimate
    """Share of couples, one answer of each group, that differ."""
    noise: Estimate
    """What of it is there between two answers of one rater; needs repeated pairs in both groups."""
    persons: Estimate
    """What of it is there between raters of one group besides; needs two raters to a pair in both groups as well."""
    values: Estimate
    """What is left: the groups' mean answers differ."""
    noise_share: Estimate
    """Noise over total."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Couples of one kind."""

    observed: Observations
    differs: Array


def disagreement(answers: Answers, again: Answers, ones: Index, others: Index, categories: int) -> Disagreement:
    """Of the raters `ones` and `others`; `answers`, `again`: [R, I] first and second answers, -1 for nothing."""
    kinds = [
        _couples(answers, categories, ones, others),
        _repeats(answers, again, ones),
        _repeats(answers, again, others),
        _couples(answers, categories, ones, None),
        _couples(answers, categories, others, None),
    ]
    strata = [ones, others]
    return Disagreement(
        total=_combined(kinds, [1, 0, 0, 0, 0], strata),
        noise=_combined(kinds, [0, 0.5, 0.5, 0, 0], strata),
        persons=_combined(kinds, [0, -0.5, -0.5, 0.5, 0.5], strata),
        values=_combined(kinds, [1, 0, 0, -0.5, -0.5], strata),
        noise_share=_combined(kinds, [0, 0.5, 0.5, 0, 0], strata, over=0),
    )


def _couples(answers: Answers, categories: int, ones: Index, others: Index | None) -> _Seen:
    found = couples(answers, categories, ones, others)
    return _Seen(found.observed, (found.codes // categories != found.codes % categories).astype(np.float64))


def _repeats(answers: Answers, again: Answers, rows: Index) -> _Seen:
    place, pair = np.nonzero((answers[rows] >= 0) & (again[rows] >= 0))
    rater = rows[place]
    return _Seen(Observations(pair, rater, rater), (answers[rater, pair] != again[rater, pair]).astype(np.float64))


def _combined(kinds: list[_Seen], weights: list[float], strata: list[Index], over: int | None = None) -> Estimate:
    """Sum weight x share of couples of a kind that differ; divided by that of the kind `over`."""
    used = [place for place, weight in enumerate(weights) if weight or place == over]
    if not all(len(kinds[place].differs) for place in used):
        return NOTHING
    means = [float(kinds[place].differs.mean()) if place in used else 0.0 for place in range(len(kinds))]
    value, scale = float(np.dot(weights, means)), 1.0
    slopes = list(weights)
    if over is not None:
        scale = means[over]
        if scale == 0:
            return NOTHING
        value /= scale
        slopes[over] -= value
    influence = np.concatenate(
        [slopes[place] / scale * (kinds[place].differs - means[place]) / len(kinds[place].differs) for place in used]
    )
    observed = Observations(
        *(
            np.concatenate([getattr(kinds[place].observed, name) for place in used])
            for name in ("pair", "first", "second")
        )
    )
    there = np.unique(np.concatenate([observed.first, observed.second]))
    half, units = reach(observed, influence, [np.intersect1d(stratum, there) for stratum in strata])
    return Estimate(value, value - half, value + half, len(np.unique(observed.pair)), len(there), units)
