"""What `evalkit prefs stats` says of annotations: raters, groups, agreement inside and between, doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evalkit.errors import RecordsError
from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.coefficients import agreement, couples, share
from evalkit.preferences.agreement.disagreement import Disagreement, disagreement
from evalkit.preferences.agreement.doubts import Doubt, doubts
from evalkit.preferences.agreement.quantities import mean_time, pace, quantile
from evalkit.preferences.agreement.ratings import CATEGORIES, Ratings, gold_passed, ratings_of
from evalkit.preferences.agreement.two_way import Estimate, Index
from evalkit.preferences.annotation import Annotation, votes

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Habits:
    """How one rater, a group, or all answer."""

    group: str | None
    rater: str | None
    raters: int
    answers: int
    """Votes: without skips, checks, repeats, and answers of excluded raters."""
    skipped: int
    excluded: int
    """Answers that count nowhere, because their rater failed too many checks."""
    seconds: dict[str, Estimate]
    """Quantile, as `0.5` -> seconds an answer."""
    pace: Estimate
    """Answers an hour of looking at pairs."""
    left: Estimate
    """Share of choices that stood on the left; 1/2 without a bias."""
    ties: Estimate
    consistent: Estimate
    """Share of pairs seen twice, the sides swapped, that were answered alike."""
    gold: Estimate
    """Share of checks passed."""


@dataclass(frozen=True, slots=True)
class Within:
    """Agreement of a group's raters, or of all."""

    group: str | None
    raw: Estimate
    fleiss: Estimate
    krippendorff: Estimate


@dataclass(frozen=True, slots=True)
class Between:
    """Agreement of two groups, and what their disagreement is made of."""

    groups: tuple[str, str]
    raw: Estimate
    cohen: Estimate
    disagreement: Disagreement


@dataclass(frozen=True, slots=True)
class CouplesKappa:
    """Cohen's kappa of two raters."""

    raters: tuple[str, str]
    groups: tuple[str, str]
    cohen: Estimate


@dataclass(frozen=True, slots=True)
class AnnotationReport:
    """All of it."""

    pairs: int
    everybody: Habits
    groups: tuple[Habits, ...]
    raters: tuple[Habits, ...]
    within: tuple[Within, ...]
    between: tuple[Between, ...]
    couples: tuple[CouplesKappa, ...]
    doubts: tuple[Doubt, ...]


def annotation_report(annotations: Sequence[Annotation]) -> AnnotationReport:
    """Count, measure, compare. Raises `RecordsError` without a single vote."""
    if not votes(annotations):
        raise RecordsError("there are no votes: each answer is skipped, a check, a repeat, or of an excluded rater")
    ratings = ratings_of(annotations)
    passed = gold_passed(annotations, ratings)
    groups = ratings.group_names
    kinds = [None, *groups] if len(groups) > 1 else list(groups)
    return AnnotationReport(
        pairs=len(ratings.pairs),
        everybody=_habits(annotations, ratings, passed, None, None),
        groups=tuple(_habits(annotations, ratings, passed, group, None) for group in groups),
        raters=tuple(
            _habits(annotations, ratings, passed, group, rater)
            for group, rater in zip(ratings.groups, ratings.raters, strict=True)
        ),
        within=tuple(_within(ratings, group) for group in kinds),
        between=tuple(_between(ratings, one, other) for one, other in combinations(groups, 2)),
        couples=tuple(_kappas(ratings)),
        doubts=tuple(doubts(ratings)),
    )


def _habits(
    annotations: Sequence[Annotation], ratings: Ratings, passed: Array, group: str | None, rater: str | None
) -> Habits:
    theirs = [row for row in annotations if group in (None, row.group) and rater in (None, row.rater)]
    rows = ratings.members(group)
    rows = rows if rater is None else np.array([row for row in rows if ratings.raters[row] == rater], np.int64)
    return Habits(
        group,
        rater,
        raters=len(rows),
        answers=int((ratings.answers[rows] >= 0).sum()),
        skipped=sum(row.choice == "skip" and not row.is_excluded for row in theirs),
        excluded=sum(row.is_excluded for row in theirs),
        seconds={f"{level:g}": quantile(ratings.seconds, rows, level) for level in QUANTILES},
        pace=pace(mean_time(ratings.seconds, rows)),
        left=share(ratings.left, rows),
        ties=share(ratings.ties, rows),
        consistent=share(ratings.consistent, rows),
        gold=share(passed, rows),
    )


def _within(ratings: Ratings, group: str | None) -> Within:
    rows = ratings.members(group)
    found = couples(ratings.answers, CATEGORIES, rows)
    raw, fleiss, krippendorff = (
        agreement(name, found, CATEGORIES, [rows]) for name in ("raw", "fleiss", "krippendorff")
    )
    return Within(group, raw, fleiss, krippendorff)


def _between(ratings: Ratings, one: str, other: str) -> Between:
    ones, others = ratings.members(one), ratings.members(other)
    found = couples(ratings.answers, CATEGORIES, ones, others)
    strata: list[Index] = [ones, others]
    return Between(
        (one, other),
        agreement("raw", found, CATEGORIES, strata),
        agreement("cohen", found, CATEGORIES, strata),
        disagreement(ratings.answers, ratings.again, ones, others, CATEGORIES),
    )


def _kappas(ratings: Ratings) -> list[CouplesKappa]:
    """Of every two raters who answered a pair in common."""
    found = []
    for one, other in combinations(range(len(ratings.raters)), 2):
        ones, others = np.array([one]), np.array([other])
        both = couples(ratings.answers, CATEGORIES, ones, others)
        if len(both.codes):
            kappa = agreement("cohen", both, CATEGORIES, [ones, others])
            names = (ratings.raters[one], ratings.raters[other])
            found.append(CouplesKappa(names, (ratings.groups[one], ratings.groups[other]), kappa))
    return found
