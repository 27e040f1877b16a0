"""Agreement of raters, with missing answers and with intervals. Pure functions of arrays.

An answer is a category 0 ... C - 1, or -1 where the rater did not answer. What is observed are couples of answers to
one pair. A coefficient is (agreement - agreement by chance) / (1 - agreement by chance); what differs is how pairs are
weighted, and what chance is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.two_way import Estimate, Index, Observations, reach
from evalkit.records import CONFIDENCE

Answers = NDArray[np.int8]
"""[R, I]: what each rater said of each pair; -1 for nothing."""
Name = Literal["raw", "cohen", "fleiss", "krippendorff"]
STEP = 1e-6
"""Relative step of the derivative by the sums."""


@dataclass(frozen=True, slots=True)
class Couples:
    """Couples of answers to one pair."""

    observed: Observations
    codes: Index
    """[N] C x the first one's answer + the second's."""
    sizes: Index
    """[N] how many answers the pair has."""


def couples(answers: Answers, categories: int, ones: Index, others: Index | None = None) -> Couples:
    """All couples of the raters `ones`, or of one of them with one of the `others`."""
    partners = [ones[place + 1 :] if others is None else others for place in range(len(ones))]
    found = [_couples_of(answers, int(rater), them) for rater, them in zip(ones, partners, strict=True)]
    nobody: Index = np.array([], np.int64)
    pair, first, second = (np.concatenate([nobody, *(part[index] for part in found)]) for index in range(3))
    codes = answers[first, pair].astype(np.int64) * categories + answers[second, pair]
    sizes = (answers[ones] >= 0).sum(axis=0)[pair]
    return Couples(Observations(pair, first, second), codes, sizes)


def counts(answers: Answers, categories: int) -> Array:
    """[I, C] how many raters gave each answer to each pair."""
    return np.stack([(answers == category).sum(axis=0) for category in range(categories)], axis=1).astype(np.float64)


def _couples_of(answers: Answers, rater: int, others: Index) -> tuple[Index, Index, Index]:
    place, pair = np.nonzero((answers[others] >= 0) & (answers[rater] >= 0))
    return pair, np.full(len(pair), rater, np.int64), others[place]


def agreement(name: Name, found: Couples, categories: int, strata: Sequence[Index]) -> Estimate:
    """One coefficient of couples.

    - `raw`: the share of couples that agree.
    - `cohen`: Cohen's kappa (1960): by chance, each side has its own shares of the categories. Of two groups,
      every couple is one observation.
    - `fleiss`: Fleiss' kappa (1971): both sides have the mean shares; each pair counts alike, also where pairs have
      unequally many answers.
    - `krippendorff`: Krippendorff's alpha, nominal (2011): each answer counts alike, and chance draws without putting
      back.
    """
    if not len(found.codes):
        return Estimate(np.nan, np.nan, np.nan, 0, 0, "pairs")
    weights, finish = _WEIGHTS[name](found.sizes), _FINISH[name]
    table = np.bincount(found.codes, weights, categories**2).astype(np.float64)
    value = finish(table.reshape(categories, categories))
    slopes = _slopes(finish, table, categories)
    # Each couple's part of the sums, by the slope of what is made of them.
    influence = weights * (slopes[found.codes] - slopes @ table / table.sum())
    half, over = reach(found.observed, influence, strata)
    pairs = len(np.unique(found.observed.pair))
    if table.reshape(categories, categories).trace() >= table.sum() * (1 - 1e-12):
        half = _unseen(pairs) / _room(finish, table, categories)
    raters = len(np.unique(np.concatenate([found.observed.first, found.observed.second])))
    low = 0.0 if name == "raw" else -1.0
    return Estimate(value, max(low, value - half), min(1.0, value + half), pairs, raters, over)


def share(values: Array, rows: Index) -> Estimate:
    """Mean of values in [0, 1] of answers [R, I], NaN where there is none, of the raters `rows`."""
    place, pair = np.nonzero(~np.isnan(values[rows]))
    if not len(pair):
        return Estimate(np.nan, np.nan, np.nan, 0, 0, "pairs")
    first = rows[place]
    there = values[first, pair]
    value = float(there.mean())
    half, over = reach(Observations(pair, first, first), (there - value) / len(there), [np.unique(first)])
    pairs, raters = len(np.unique(pair)), len(np.unique(place))
    if value in (0.0, 1.0):
        low, high = value * (1 - _unseen(pairs)), value + (1 - value) * _unseen(pairs)
    elif np.isnan(half):
        low, high = value - half, value + half
    else:
        # In log-odds, where a share near 0 has the longer side that it needs.
        odds, step = float(logit(value)), half / (value * (1 - value))
        low, high = float(expit(odds - step)), float(expit(odds + step))
    return Estimate(value, low, high, pairs, raters, over)


def _unseen(pairs: int) -> float:
    """Share of pairs that may be otherwise although none of so many was (Clopper & Pearson 1934)."""
    return float(1 - ((1 - CONFIDENCE) / 2) ** (1 / pairs))


def _room(finish: Callable[[Array], float], table: Array, categories: int) -> float:
    """1 - agreement by chance, where all agree: how much raw disagreement a coefficient of 0 is worth."""
    shares = table.reshape(categories, categories).sum(axis=0) / table.sum()
    return 1.0 if finish is _raw else float(max(1 - (shares**2).sum(), 1e-12))


def _slopes(finish: Callable[[Array], float], table: Array, categories: int) -> Array:
    """[C x C] derivative of the value by each cell of the table of couples."""
    step = STEP * table.sum()
    nudges = step * np.eye(len(table))
    shape = (categories, categories)
    return np.array(
        [
            (finish((table + nudge).reshape(shape)) - finish((table - nudge).reshape(shape))) / (2 * step)
            for nudge in nudges
        ]
    )


def _raw(table: Array) -> float:
    return float(table.trace() / table.sum())


def _cohen(table: Array) -> float:
    shares = table / table.sum()
    return _beyond(float(shares.trace()), float(shares.sum(axis=0) @ shares.sum(axis=1)))


def _fleiss(table: Array) -> float:
    shares = table / table.sum()
    mean = (shares.sum(axis=0) + shares.sum(axis=1)) / 2
    return _beyond(float(shares.trace()), float(mean @ mean))


def _krippendorff(table: Array) -> float:
    totals = table.sum(axis=0) + table.sum(axis=1)
    number = float(totals.sum())
    return _beyond(2 * float(table.trace()) / number, float(totals @ (totals - 1)) / (number * (number - 1)))


def _beyond(agreed: float, chance: float) -> float:
    return (agreed - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan")


_FINISH: dict[Name, Callable[[Array], float]] = {
    "raw": _raw,
    "cohen": _cohen,
    "fleiss": _fleiss,
    "krippendorff": _krippendorff,
}
_WEIGHTS: dict[Name, Callable[[Index], Array]] = {
    "raw": lambda sizes: np.ones(len(sizes)),
    "cohen": lambda sizes: np.ones(len(sizes)),
    "fleiss": lambda sizes: 2 / (sizes * (sizes - 1.0)),
    "krippendorff": lambda sizes: 1 / (sizes - 1.0),
}
