"""Whose opinions a checkpoint gives: how far its answers to a suite's questions are from those of groups of people.

A question is several prompts, one for each order of its choices, and has one value: it stands at the first of them, and
the others have none, so that means and intervals are over questions. No group is an aim: a distance has no better
direction, and moving towards one group may be moving away from others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evalkit.metrics.declaration import arm_metric
from evalkit.metrics.estimators.opinions import (
    UNIFORM,
    Answered,
    answered,
    distance,
    jensen_shannon,
    shares_of_group,
    total_variation,
    wasserstein,
)
from evalkit.plumbing.arrays import Array
from evalkit.records import Group

SOURCES = "Santurkar et al. 2023; Durmus et al. 2023"


@arm_metric(
    name="opinion_distance",
    unit="share",
    better="neither",
    side="neither",
    plain="distance from the group's opinions",
    bounds=(0, 1),
    needs={"opinions"},
    version="1.0",
    cites=SOURCES,
)
def opinion_distance(groups: Sequence[Group], *, group: str = UNIFORM) -> Array:
    """How far an arm's answers to questions of opinion are from those of a group of people.

    Of each question the Wasserstein-1 distance between the arm's distribution over the choices and the group's: on
    ordered choices along the scale, whose ends are 1 apart, on unordered ones with any two choices 1 apart, which is
    total variation. `group`: one of the suite's groups, or `uniform`: every choice alike, so the distance to nobody's
    opinion. The arm's distribution is exact where log-probs can be read: the normalised mean of log-probs over orders
    in which every choice stands once at every place, so that liking a place or a letter is no opinion.

    Range: 0 (the same answers) to 1 (all of one side at one end, all of the other at the other).

    Bias: none where it is exact and places multiply chances. Where answers are drawn, it is above the true distance by
    up to about sqrt((m - 1) / (2 pi n)) for m choices and n draws of all orders, most where the true one is small, and
    a strong liking for a place draws the answers towards even.

    Cost: the checkpoint reads each spelling of each choice once an order; kept in the cache.

    Undefined: on a question that the group was not asked, or to which the arm gives no choice; at all prompts of a
    question but its first.
    """
    return _by_question(groups, group, lambda p, q, of: distance(p, q, of.opinion.ordered))


@arm_metric(
    name="opinion_wasserstein",
    unit="share",
    better="neither",
    side="neither",
    plain="distance from the group's opinions along scales",
    bounds=(0, 1),
    needs={"opinions"},
    version="1.0",
    cites=SOURCES,
)
def opinion_wasserstein(groups: Sequence[Group], *, group: str = UNIFORM) -> Array:
    """Wasserstein-1 distance between an arm's answers and a group's, on questions with ordered choices alone.

    As `opinion_distance`, which says how the arm's distribution is known: the share of answers to be moved, times how
    far along the scale, whose ends are 1 apart. Between Agree and Strongly agree is less than between Agree and
    Disagree.

    Range: 0 (the same answers) to 1 (all at one end against all at the other).

    Bias: that of `opinion_distance`.

    Cost: that of `opinion_distance`, shared with it.

    Undefined: as `opinion_distance`, and on questions whose choices are unordered.
    """
    return _by_question(groups, group, lambda p, q, of: wasserstein(p, q) if of.opinion.ordered else float("nan"))


@arm_metric(
    name="opinion_total_variation",
    unit="share",
    better="neither",
    side="neither",
    plain="answers to unordered questions that the group would give otherwise",
    bounds=(0, 1),
    needs={"opinions"},
    version="1.0",
    cites=SOURCES,
)
def opinion_total_variation(groups: Sequence[Group], *, group: str = UNIFORM) -> Array:
    """Total variation between an arm's answers and a group's, on questions with unordered choices alone.

    As `opinion_distance`, which says how the arm's distribution is known: the share of answers that would have to be
    others.

    Range: 0 (the same answers) to 1 (no choice in common).

    Bias: that of `opinion_distance`.

    Cost: that of `opinion_distance`, shared with it.

    Undefined: as `opinion_distance`, and on questions whose choices are ordered.
    """
    return _by_question(groups, group, lambda p, q, of: float("nan") if of.opinion.ordered else total_variation(p, q))


@arm_metric(
    name="opinion_jensen_shannon",
    unit="bits",
    better="neither",
    side="neither",
    plain="divergence from the group's opinions",
    bounds=(0, 1),
    needs={"opinions"},
    version="1.0",
    cites="Lin 1991; Durmus et al. 2023",
)
def opinion_jensen_shannon(groups: Sequence[Group], *, group: str = UNIFORM) -> Array:
    """Jensen-Shannon divergence between an arm's answers and a group's, on questions with unordered choices alone.

    In bits: what one answer tells, on average, of whose it is, the arm's or the group's. As `opinion_distance`, which
    says how the arm's distribution is known. (Durmus et al. take 1 minus its root, in the same base, as similarity.)

    Range: 0 (the same answers) to 1 (no choice in common).

    Bias: none where exact; where answers are drawn, above the true one by up to about (m - 1) / (8 n ln 2) for m
    choices and n draws where the two are near.

    Cost: that of `opinion_distance`, shared with it.

    Undefined: as `opinion_distance`, and on questions whose choices are ordered.
    """
    return _by_question(groups, group, lambda p, q, of: float("nan") if of.opinion.ordered else jensen_shannon(p, q))


@arm_metric(
    name="opinion_order_effect",
    unit="share",
    better="neither",
    side="neither",
    plain="answers that the order of choices moves",
    bounds=(0, 1),
    needs={"opinions"},
    version="1.0",
    cites="Zheng et al. 2024",
)
def opinion_order_effect(groups: Sequence[Group]) -> Array:
    """Share of an arm's answers to questions of opinion that the order of the choices moves.

    Of each question the total variation of the answers in one order from the mean over its orders, mean over orders.
    An arm that always gives the first letter has no opinion and the largest order effect there is; read its
    distances with that in mind.

    Range: 0 (the order does not matter) to 1 - 1/m of m choices.

    Bias: none where exact; where answers are drawn, above the true one by about as much as distances are.

    Cost: that of `opinion_distance`, shared with it.

    Undefined: on questions that are put in one order, or are answered in fewer than two; at all prompts of a question
    but its first.
    """
    values = np.full(len(groups), np.nan)
    for of in answered(groups):
        values[of.rows[0]] = of.order_effect
    return values


def _by_question(groups: Sequence[Group], group: str, measure: Callable[[Array, Array, Answered], float]) -> Array:
    """(P,) the measure of the arm's distribution and the group's, at the first prompt of each question; else NaN."""
    values = np.full(len(groups), np.nan)
    for of in answered(groups):
        theirs = shares_of_group(of.opinion, group)
        if theirs is not None and not np.isnan(of.shares).any():
            values[of.rows[0]] = measure(of.shares, theirs, of)
    return values
