"""Whom a tuning moved a checkpoint towards, and whom away from, where that is clear; pure, of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.estimators.opinions import UNIFORM
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.prose import listed
from evalkit.report.wording import interval_text, value_text, with_level

DISTANCE = "opinion_distance"
NOBODY = "all choices alike"
"""What the reference that is no group is called on the page: nobody's opinion."""


@dataclass(frozen=True, slots=True)
class GroupDistance:
    """How far one arm is from one group, and how much nearer or further than its baseline."""

    group: str
    estimate: Estimate
    baseline: Estimate | None
    difference: Difference | None

    @property
    def moved(self) -> str:
        """`towards`, `away`, or nothing where that is not clear."""
        d = self.difference
        if d is None or d.value is None or effects.outcome(d, "lower") == "unclear":
            return ""
        return "towards" if d.value < 0 else "away"


def group_distances(summary: Summary, measure: str = DISTANCE) -> dict[str, list[GroupDistance]]:
    """Arm -> its distance to each group by a measure of opinions, nobody last."""
    estimates = effects.estimates(summary)
    differences = {(d.metric, d.arm): d for d in summary.differences}
    groups = group_measures(summary, measure)
    return {
        arm.name: [
            GroupDistance(
                group,
                estimates[metric, arm.name],
                estimates.get((metric, arm.baseline or "")),
                differences.get((metric, arm.name)),
            )
            for metric, group in groups.items()
            if (metric, arm.name) in estimates and estimates[metric, arm.name].value is not None
        ]
        for arm in summary.arms
    }


def group_measures(summary: Summary, measure: str = DISTANCE) -> dict[str, str]:
    """Metric -> the group that it is a distance to; nobody last."""
    named = {}
    for estimate in summary.estimates:
        variant, metric = split_variant(estimate.metric)
        name, *parameters = metric.split("|")
        if variant == "whole" and name == measure:
            given = [text.removeprefix("group:") for text in parameters if text.startswith("group:")]
            named[estimate.metric] = given[0] if given else UNIFORM
    return dict(sorted(named.items(), key=lambda item: item[1] == UNIFORM))


def called(group: str) -> str:
    """A group's name on the page."""
    return NOBODY if group == UNIFORM else group


def opinion_claims(summary: Summary) -> dict[str, str]:
    """Compared arm -> whom it has moved towards and away from, with intervals; that it has not, where none is clear."""
    return {
        arm: _claim(arm, distances)
        for arm, distances in group_distances(summary).items()
        if any(each.difference is not None for each in distances)
    }


def _claim(arm: str, distances: Sequence[GroupDistance]) -> str:
    of_people = [each for each in distances if each.group != UNIFORM]
    towards, away = ([each for each in of_people if each.moved == way] for way in ("towards", "away"))
    even = next((each for each in distances if each.group == UNIFORM and each.moved), None)
    clauses = [
        *([f"moved towards the opinions of {listed(map(_said, towards))}"] if towards else []),
        *([f"moved away from the opinions of {listed(map(_said, away))}"] if away else []),
        *([f"is {'nearer to' if even.moved == 'towards' else 'further from'} {_said(even)}"] if even else []),
    ]
    if not towards and not away:
        clauses.insert(0, "moved clearly neither towards any group's opinions nor away from them")
    return f"{arm} {listed(clauses)}."


def _said(distance: GroupDistance) -> str:
    """`Hillside (distance 0.24 instead of 0.31, change −0.07, 95 % interval −0.09 to −0.05)`."""
    before = f" instead of {value_text(distance.baseline)}" if distance.baseline else ""
    assert distance.difference is not None
    interval = interval_text(distance.difference)
    change = f", change {value_text(distance.difference, signed=True)}, {with_level(interval)}" if interval else ""
    return f"{called(distance.group)} (distance {value_text(distance.estimate)}{before}{change})"
