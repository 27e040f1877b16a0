"""Raters whose answers are in doubt: at random, always the same, or faster than anybody reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.random_raters import FALSE, Evidence, named, predicted, probabilities
from evalkit.preferences.agreement.ratings import NEITHER, Ratings, directions

Kind = Literal["at random", "always left", "always right", "always a tie", "too fast"]
FASTEST = 20.0
"""Words a second, 1,200 a minute: five times what adults read silently (238 a minute; Brysbaert 2019)."""
ONE_SIDED = 0.9
"""Share of choices on one side from which a rater at random is said to choose always that one."""
TIE_PRIOR = (1.0, 4.0)
TIE_SPREAD = 8.0
"""Strength of the Beta distribution of honest raters' shares of ties around their mean: they differ much."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a rater's answers should be looked at before they are used."""

    rater: str
    group: str
    kind: Kind
    probability: float
    """That it is so (`at random` and one-sided), or p-value of its being chance (ties and haste)."""
    says: str
    """What was seen, in words."""


def doubts(ratings: Ratings) -> list[Doubt]:
    """All doubts, by rater. Of each kind, about one in twenty named raters is named by chance (`FALSE`)."""
    found = [*_at_random(ratings), *_always_ties(ratings), *_too_fast(ratings)]
    return sorted(found, key=lambda doubt: (doubt.group, doubt.rater))


def evidence_of(ratings: Ratings) -> Evidence:
    """What each rater's answers say of how they come about."""
    groups = np.array([ratings.group_names.index(group) for group in ratings.groups], np.int64)
    trials, hits = predicted(directions(ratings.answers), groups)
    first, second = directions(ratings.answers), directions(ratings.again)
    twice = (first != 0) & (second != 0)
    return Evidence(trials, hits, twice.sum(axis=1), (twice & (first == second)).sum(axis=1))


def _at_random(ratings: Ratings) -> list[Doubt]:
    if not len(ratings.raters):
        return []
    evidence = evidence_of(ratings)
    probability = probabilities(evidence)
    found = []
    for row in np.flatnonzero(named(probability)):
        trials, hits = int(evidence.trials[row]), int(evidence.hits[row])
        kind = _side(ratings.left[row])
        says = f"{hits} of {trials} answers are as the others' answers predict; by chance {trials / 2:g} would be"
        if evidence.repeats[row]:
            says += f"; {evidence.alike[row]} of {evidence.repeats[row]} pairs seen twice were decided alike"
        found.append(Doubt(ratings.raters[row], ratings.groups[row], kind, float(probability[row]), says))
    return found


def _side(left: Array) -> Kind:
    share = float(np.nanmean(left)) if not np.isnan(left).all() else 0.5
    return "always left" if share >= ONE_SIDED else "always right" if share <= 1 - ONE_SIDED else "at random"


def _always_ties(ratings: Ratings) -> list[Doubt]:
    """More ties than raters whose shares scatter around that of the others would ever give."""
    answered = (ratings.answers >= 0).sum(axis=1)
    ties = (ratings.answers == NEITHER).sum(axis=1)
    others = (ties.sum() - ties + TIE_PRIOR[0]) / (answered.sum() - answered + sum(TIE_PRIOR))
    p = scipy_stats.betabinom.sf(ties - 1, answered, others * TIE_SPREAD, (1 - others) * TIE_SPREAD)
    return [
        Doubt(
            ratings.raters[row],
            ratings.groups[row],
            "always a tie",
            float(p[row]),
            f"{ties[row]} of {answered[row]} answers are ties; of the other raters' {others[row]:.0%} are",
        )
        for row in np.flatnonzero(_discovered(p) & (ties > answered / 2))
    ]


def _too_fast(ratings: Ratings) -> list[Doubt]:
    """More than half of the answers came faster than anybody reads."""
    timed = (~np.isnan(ratings.speed)).sum(axis=1)
    fast = (ratings.speed > FASTEST).sum(axis=1)
    p = scipy_stats.binom.sf(fast - 1, timed, 0.5)
    return [
        Doubt(
            ratings.raters[row],
            ratings.groups[row],
            "too fast",
            float(p[row]),
            f"{fast[row]} of {timed[row]} answers came at more than {FASTEST:g} words a second",
        )
        for row in np.flatnonzero(_discovered(p) & (timed > 0))
    ]


def _discovered(p: Array) -> NDArray[np.bool_]:
    """Benjamini and Hochberg (1995) at `FALSE`."""
    ranked = scipy_stats.false_discovery_control(p) if len(p) else p
    return np.asarray(ranked <= FALSE)
