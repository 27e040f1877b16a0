"""What all measures of a side say together: one number an arm and side, with its interval. Pure, of a summary.

Ten measures of diversity are not ten witnesses: five of them count words. So the measures of one family are averaged
first, then the families of a side, each weighing the same. Rewards that different groups of people taught are a family
each, and no mean stands for them: who gains does not make up for who loses. Per prompt p

    c_p = mean over families f of  mean over measures m in f of  sign_m (arm_mp - baseline_mp) / s_m

with s_m the standard deviation of all the measure's values of both arms together. Swapping the two arms on any prompt
leaves every s_m as it is and turns that prompt's c_p around, so the c_p of two equal arms are symmetric around 0, and
tests of a mean hold. At most 2: where two arms have nothing in common each value is one deviation from the middle.
Holm (1979) corrects for the number of arms and sides, and apart from that for the number of families.

A measure stands for its side only where it can be trusted to: one that moves with length gives way to its
length-matched form where lengths differ, and is left aside where it has none; one that counts a checkpoint's own tokens
is left aside where tokenizers differ; one of texts where the arms write in different scripts. Of one completion a
prompt no measure of texts says how various a prompt's answers are. One that is equal on every prompt of both arms says
that there is no difference, and counts as such, unless both are at a bound, where it cannot tell. A share of quality
that both arms have nearly all of, and no hundredth apart, leaves the say to the other measures of quality: in standard
deviations one check failed in two thousand would weigh as much as a reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from evalkit.analysis.intervals import holm, mean_intervals, mean_p_values
from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import Array, defined_in_all, nan_for_none
from evalkit.records import CONFIDENCE, Arm, Side
from evalkit.report.verdicts.rater_groups import groups_of

UNLIKE = ("length", "truncated")
"""Kinds of alarms after which a measure that moves with length may not speak."""
SIDE_LEVEL, FAMILY_LEVEL = 0.03, 0.01
"""Chances of a false claim about any side as a whole, and about any family by itself: below 1 - CONFIDENCE together, as
the tests of skewed values are a little off their level (docs/intervals.md)."""
SIDES: tuple[Side, ...] = tuple(side for side in get_args(Side) if side != "neither")
NEARLY = 0.01
"""Of a share: so near to all of it there is nothing of note between two arms."""
_NOTHING = 1e-12
TWO = 2
"""Completions of a prompt below which nothing is said of how much its answers differ."""
_OF_TEXTS = ("words", "meaning")
"""Families of diversity that are measured on texts: one text has none, and texts in two scripts do not compare."""

Outcome = Literal["gained", "lost", "unclear"]


@dataclass(frozen=True, slots=True)
class JointDifference:
    """A standardised difference of one arm to its baseline, positive where it is better."""

    family: str
    """Empty for the side as a whole."""
    value: float
    low: float
    high: float
    """Mean over prompts and the ends of its interval, in standard deviations of both arms' values together."""
    p: float
    p_adjusted: float
    """Holm's; for a family that is its side alone that of the side."""
    prompts: int
    """Prompts on which any of its measures is defined."""
    measures: tuple[str, ...]
    """What it is made of, each in the form that stands."""
    level: float
    """Chance of a false claim that it is held to: `WHOLE`, or `PART` of a family beside others."""

    @property
    def outcome(self) -> Outcome:
        """Clear only where the adjusted p is below its level and the interval excludes 0."""
        if not (self.p_adjusted < self.level and (self.low > 0 or self.high < 0)):
            return "unclear"
        return "gained" if self.value > 0 else "lost"


@dataclass(frozen=True, slots=True)
class Joint:
    """What one side's measures say of one arm."""

    arm: str
    baseline: str
    side: Side
    together: JointDifference
    families: tuple[JointDifference, ...]
    """Each by itself; one alone is the whole."""
    by_length: tuple[str, ...]
    """Measures left aside because lengths differ and they move with length."""
    by_tokenizer: tuple[str, ...]
    """Measures left aside because tokenizers differ and they count tokens."""
    shift: float | None
    """Mean difference of the measures themselves, positive where it is better, where all of them are shares."""
    is_apart: bool = False
    """Whether rewards of several groups of people are in it, for whom nothing is said together."""

    @property
    def clear(self) -> tuple[JointDifference, ...]:
        """The families that are clear by themselves; one alone is the whole."""
        return tuple(part for part in self.families if part.outcome != "unclear")

    @property
    def disagree(self) -> bool:
        """Whether one family is clearly better and another clearly worse; of groups of people, whether any differ."""
        outcomes = {part.outcome for part in (self.families if self.is_apart else self.clear)}
        return len(outcomes) > 1

    @property
    def outcome(self) -> Outcome:
        """That of the side as a whole; where groups of people stand apart, the one that all families have."""
        if not self.is_apart:
            return self.together.outcome
        return "unclear" if self.disagree else self.families[0].outcome


Joints = Mapping[tuple[str, Side], Joint]
"""(arm, side) -> what that side's measures say of that arm."""


def joint_statements(summary: Summary) -> Joints:
    """Those of every compared arm and side with a measure that stands."""
    by_name = {arm.name: arm for arm in summary.arms}
    pairs = [(arm, by_name[arm.baseline]) for arm in summary.arms if arm.baseline in by_name]
    joints = [made for arm, baseline in pairs for side in SIDES if (made := _joint(arm, baseline, side, summary))]
    return {(joint.arm, joint.side): joint for joint in _corrected(joints)}


def forms_for_all(summary: Summary) -> dict[str, str]:
    """Plain measure -> the form of it in which all arms may stand side by side; those that may not are not there."""
    traits = {estimate.metric: estimate.traits for estimate in summary.estimates}
    lengths_differ = any(alarm.kind in UNLIKE for alarm in summary.alarms)
    return _standing(traits, lengths_differ, {arm.tokenizer for arm in summary.arms}).forms


@dataclass(frozen=True, slots=True)
class _Standing:
    """Which plain measures may speak, and in which form."""

    forms: dict[str, str]
    by_length: tuple[str, ...]
    by_tokenizer: tuple[str, ...]


def _joint(arm: Arm, baseline: Arm, side: Side, summary: Summary) -> Joint | None:
    estimates, baselines = (_by_metric(summary, each.name, side) for each in (arm, baseline))
    unread = any(alarm.kind == "script" and alarm.arm == arm.name for alarm in summary.alarms)
    shared = [
        metric
        for metric, estimate in estimates.items()
        if metric in baselines
        and baselines[metric].signature == estimate.signature
        and _tells(estimate, baselines[metric])
        and not (side == "diversity" and estimate.traits.family in _OF_TEXTS and (unread or estimate.samples < TWO))
    ]
    lengths_differ = any(alarm.kind in UNLIKE and alarm.arm in (arm.name, baseline.name) for alarm in summary.alarms)
    standing = _standing({m: estimates[m].traits for m in shared}, lengths_differ, {arm.tokenizer, baseline.tokenizer})
    forms = list(standing.forms.values())
    measures = [m for m in forms if not is_saturated(estimates[m], baselines[m], summary.clusters)] or forms
    rows: dict[str, list[tuple[str, Array]]] = {}
    groups = groups_of(measures)
    for metric in measures:
        family = f"the reward of {groups[metric]}" if metric in groups else estimates[metric].traits.family
        rows.setdefault(family, []).append((metric, _standardised(estimates[metric], baselines[metric])))
    if not rows:
        return None
    families = [_joint_difference(family, [row for _, row in members], [m for m, _ in members], summary.clusters)
                for family, members in rows.items()]  # fmt: skip
    means = [_mean([row for _, row in members]) for members in rows.values()]
    together = _joint_difference("", means, measures, summary.clusters)
    shift = _shift([(estimates[metric], baselines[metric]) for metric in measures])
    return Joint(
        arm.name,
        baseline.name,
        side,
        together,
        tuple(families),
        standing.by_length,
        standing.by_tokenizer,
        shift,
        bool(groups),
    )


def _shift(pairs: Sequence[tuple[Estimate, Estimate]]) -> float | None:
    if any(estimate.traits.bounds != (0, 1) for estimate, _ in pairs):
        return None
    rows = [
        (-1 if estimate.better == "lower" else 1) * np.subtract(*_both(estimate, baseline))
        for estimate, baseline in pairs
    ]
    return float(np.nanmean(np.stack(rows)))


def _by_metric(summary: Summary, arm: str, side: Side) -> dict[str, Estimate]:
    """Those of the side's measures, plain and length-matched, that have a number."""
    return {
        estimate.metric: estimate
        for estimate in summary.estimates
        if estimate.arm == arm
        and estimate.traits.side == side
        and split_variant(estimate.metric)[0] in ("whole", "matched")
        and any(value is not None for value in estimate.values)
    }


def _standing(traits: Mapping[str, Traits], lengths_differ: bool, tokenizers: set[str]) -> _Standing:
    """`lengths_differ`: whether an alarm says so; `tokenizers`: those of the arms, empty where not known."""
    length_matched = {split_variant(metric)[1]: metric for metric in traits if split_variant(metric)[0] == "matched"}
    # Matched forms are there exactly where lengths differ or answers were cut, if the suite did not turn them off.
    unlike = bool(length_matched) or lengths_differ
    plain = {metric: declared for metric, declared in traits.items() if split_variant(metric)[0] == "whole"}
    by_tokenizer = [metric for metric, declared in plain.items() if declared.per_token and len(tokenizers - {""}) > 1]
    by_length = [
        metric
        for metric, declared in plain.items()
        if declared.moves_with_length and unlike and metric not in length_matched and metric not in by_tokenizer
    ]
    aside = {*by_tokenizer, *by_length}
    forms = {metric: length_matched.get(metric, metric) for metric in plain if metric not in aside}
    return _Standing(forms, tuple(by_length), tuple(by_tokenizer))


def _both(estimate: Estimate, baseline: Estimate) -> Array:
    """(2, P), NaN on prompts where one of them is undefined."""
    return defined_in_all([nan_for_none(estimate.values), nan_for_none(baseline.values)])


def _tells(estimate: Estimate, baseline: Estimate) -> bool:
    """Whether the two can be told apart by the measure if they differ: not where both are at a bound everywhere."""
    both = _both(estimate, baseline)
    defined = both[~np.isnan(both)]
    return bool(
        defined.size and not (_is_flat(defined) and _at_a_bound(estimate.traits, estimate.samples, float(defined[0])))
    )


def is_share_of_quality(traits: Traits) -> bool:
    """Whether it says how many of all answers are good: right, chosen, or with their checks passed."""
    return traits.side == "quality" and traits.bounds == (0, 1)


def is_saturated(estimate: Estimate, baseline: Estimate, clusters: Sequence[str]) -> bool:
    """Whether it is a share of quality that both have nearly all of, and whose whole difference is surely as small."""
    if not is_share_of_quality(estimate.traits):
        return False
    both = _both(estimate, baseline)
    if np.isnan(both).all():
        return False
    missing = np.abs((0.0 if estimate.better == "lower" else 1.0) - np.nanmean(both, axis=1))
    [difference] = mean_intervals((both[0] - both[1])[None, :], CONFIDENCE, clusters)
    return bool((missing < NEARLY).all() and difference.low > -NEARLY and difference.high < NEARLY)


def _is_flat(defined: Array) -> bool:
    return bool(np.ptp(defined) <= _NOTHING * np.abs(defined).max())


def _at_a_bound(traits: Traits, samples: int, value: float) -> bool:
    ends = (samples if bound == "k" else bound for bound in traits.bounds)
    return any(bound is not None and math.isclose(value, bound, rel_tol=_NOTHING, abs_tol=_NOTHING) for bound in ends)


def _standardised(estimate: Estimate, baseline: Estimate) -> Array:
    """(P,) difference over the standard deviation of both arms' values together, turned so that more is better."""
    both = _both(estimate, baseline)
    if _is_flat(both[~np.isnan(both)]):
        return np.asarray(both[0] - both[0], dtype=np.float64)
    sign = -1.0 if estimate.better == "lower" else 1.0
    return np.asarray(sign * (both[0] - both[1]) / np.nanstd(both), dtype=np.float64)


def _mean(rows: Sequence[Array]) -> Array:
    """(P,) mean over the rows that are defined on a prompt."""
    stacked = np.stack(rows)
    counts = np.count_nonzero(~np.isnan(stacked), axis=0)
    return np.asarray(np.where(counts, np.nansum(stacked, axis=0) / np.maximum(counts, 1), math.nan))


def _joint_difference(
    family: str, rows: Sequence[Array], measures: Sequence[str], clusters: Sequence[str]
) -> JointDifference:
    values = _mean(rows)[None, :]
    [mean], [p] = mean_intervals(values, CONFIDENCE, clusters), mean_p_values(values, clusters)
    return JointDifference(
        family,
        mean.value,
        mean.low,
        mean.high,
        float(p),
        math.nan,
        mean.count,
        tuple(measures),
        FAMILY_LEVEL if family else SIDE_LEVEL,
    )


def _corrected(joints: Sequence[Joint]) -> list[Joint]:
    """Holm over the sides as a whole of all arms, and over the families of those that have several."""
    of_sides = iter(holm(np.array([joint.together.p for joint in joints], dtype=np.float64)))
    several = [part.p for joint in joints for part in joint.families if len(joint.families) > 1]
    of_families = iter(holm(np.array(several, dtype=np.float64)))
    corrected = []
    for joint in joints:
        together = replace(joint.together, p_adjusted=float(next(of_sides)))
        if len(joint.families) > 1:
            families = tuple(replace(part, p_adjusted=float(next(of_families))) for part in joint.families)
        else:
            families = (replace(joint.families[0], p_adjusted=together.p_adjusted, level=SIDE_LEVEL),)
        corrected.append(replace(joint, together=together, families=families))
    return corrected
