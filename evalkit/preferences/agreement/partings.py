"""Where two groups part most: by prompt, by tag, by pair; by their votes, and by what models of them expect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

from evalkit.analysis.intervals import mean_intervals
from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.coefficients import counts
from evalkit.preferences.agreement.ratings import CATEGORIES, Ratings
from evalkit.preferences.pairs import Pair
from evalkit.records import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Parting:
    """How far two groups part on a prompt, or on all prompts of a tag."""

    name: str
    pairs: int
    value: float
    """Of votes: share of couples, one of each group, that differ. Of models: mean difference of the probabilities."""
    low: float
    high: float


def by_votes(ratings: Ratings, one: str, other: str, labels: Sequence[Sequence[str]]) -> list[Parting]:
    """Every label's parting, the surest first; `labels` [I]: those of each pair.

    Intervals are Wilson's over as many couples as can be made without an answer standing in two.
    """
    first = counts(ratings.answers[ratings.members(one)], CATEGORIES)
    second = counts(ratings.answers[ratings.members(other)], CATEGORIES)
    couples = first.sum(axis=1) * second.sum(axis=1)
    differing = couples - (first * second).sum(axis=1)
    apart = np.minimum(first.sum(axis=1), second.sum(axis=1))
    found = []
    for name, places in _places(labels).items():
        both = places[couples[places] > 0]
        if len(both):
            share, trials = float(differing[both].sum() / couples[both].sum()), int(apart[both].sum())
            found.append(Parting(name, len(both), share, *_wilson(share, trials)))
    return _surest_first(found)


def by_models(one: Array, other: Array, labels: Sequence[Sequence[str]]) -> list[Parting]:
    """Every label's parting, the surest first; `one`, `other` [I]: probability of the first completion in both models.

    Intervals are over the label's pairs; NaN of a single one.
    """
    distance = np.abs(one - other)
    found = []
    for name, places in _places(labels).items():
        [mean] = mean_intervals(distance[places][None], CONFIDENCE, bounds=(0.0, 1.0))
        found.append(Parting(name, mean.count, mean.value, mean.low, mean.high))
    return _surest_first(found)


def labels_of(pairs: Iterable[Pair]) -> Mapping[str, list[Sequence[str]]]:
    """`prompt` and `tag` -> the labels of each pair."""
    known = list(pairs)
    return {"prompt": [(pair.prompt_id,) for pair in known], "tag": [pair.prompt.tags for pair in known]}


def _places(labels: Sequence[Sequence[str]]) -> dict[str, Array]:
    found: dict[str, list[int]] = {}
    for place, names in enumerate(labels):
        for name in names:
            found.setdefault(name, []).append(place)
    return {name: np.array(places) for name, places in found.items()}


def _wilson(share: float, trials: int) -> tuple[float, float]:
    """Of a share that need not be a whole number of trials (Wilson 1927)."""
    z = float(scipy_stats.norm.ppf((1 + CONFIDENCE) / 2))
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * (share * (1 - share) / trials + z**2 / (4 * trials**2)) ** 0.5
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _surest_first(found: Sequence[Parting]) -> list[Parting]:
    return sorted(found, key=lambda row: (np.isnan(row.low), -row.low if row.low == row.low else 0.0, -row.value))
