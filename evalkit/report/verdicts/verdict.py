"""What the tuning gained and cost, in words; for the page and for the terminal.

A side's claim rests on what its measures say together (`analysis.joint`), families weighing equally; where families
disagree, that is the claim. A single measure's difference counts only when its Holm-adjusted p is below 0.05; one
without a better direction is never a gain or a loss. "Much" and "slightly" are Cohen's large (0.8) and small (0.2)
standardised differences. Arms that form a ladder, or a sweep over decoding settings, are told of as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import get_args

from evalkit.analysis import effects
from evalkit.analysis.clusters import sized
from evalkit.analysis.effects import Outcome
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted, listed
from evalkit.records import Arm, Side
from evalkit.report.verdicts.decoding import decoding_claims
from evalkit.report.verdicts.findings import Finding, Findings
from evalkit.report.verdicts.findings import findings as findings_of
from evalkit.report.verdicts.headline import SHOWN, headline
from evalkit.report.verdicts.homogeneity import alike_claims
from evalkit.report.verdicts.joint import Joint, Joints, joint_statements
from evalkit.report.verdicts.ladder_headline import ladder_headline
from evalkit.report.verdicts.ladders import ladders
from evalkit.report.verdicts.loss_split import loss_claims
from evalkit.report.verdicts.opinions import opinion_claims
from evalkit.report.verdicts.prompt_information import template_claims
from evalkit.report.verdicts.rater_groups import rater_claims
from evalkit.report.verdicts.side_words import SIDES, words_for
from evalkit.report.verdicts.sweep_headline import sweep_headline
from evalkit.report.verdicts.sweeps import sweeps
from evalkit.report.verdicts.ways import ways_claim, ways_of
from evalkit.report.wording import interval_words, label, value_text

BESIDES = 4
"""Claims beneath the headline."""


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """One arm against its baseline, each measure in the form that may speak; strongest evidence first in every list."""

    arm: str
    baseline: str
    headline: str
    claim: str
    numbers: str
    gained: tuple[Finding, ...]
    lost: tuple[Finding, ...]
    unclear: tuple[Finding, ...]
    changed: tuple[Finding, ...]
    """Clear differences in measures that have no better direction."""
    silent: tuple[str, ...]
    """Measures that have no say, because lengths, tokenizers or scripts differ, or they cannot tell the arms apart."""
    joints: tuple[Joint, ...]
    """What each side's measures say together."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.gained, *self.lost, *self.unclear, *self.changed)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole summary in words."""

    headline: str
    """About the ladder, the sweep or the arm that is compared like with like; every arm has its own."""
    claim: str
    """The headline without its numbers ..."""
    numbers: str
    """... and the numbers that it rests on."""
    arms: tuple[ArmVerdict, ...]
    """One a compared arm, in the summary's order, the first that is compared like with like first."""
    about: tuple[str, ...] = ()
    """Arms that the headline is about: the arms of a ladder, the temperatures of a sweep, or one, in their order."""
    besides: tuple[str, ...] = ()
    """Claims about what the headline leaves out, compared like with like; a ladder or a sweep has one."""

    @property
    def gained(self) -> tuple[Finding, ...]:
        return tuple(chain.from_iterable(arm.gained for arm in self.arms))

    @property
    def lost(self) -> tuple[Finding, ...]:
        return tuple(chain.from_iterable(arm.lost for arm in self.arms))

    @property
    def unclear(self) -> tuple[Finding, ...]:
        return tuple(chain.from_iterable(arm.unclear for arm in self.arms))


def verdict(summary: Summary) -> Verdict:
    """Say what every compared arm gained and lost, or describe the arms where nothing is compared."""
    pairs = _compared(summary)
    if not pairs:
        described = _describe(summary)
        return Verdict(described, described, "", ())
    joints = joint_statements(summary)
    arms = tuple(_arm_verdict(arm, baseline, summary, joints) for arm, baseline in pairs)
    ways, subjects = _ways(summary, joints), _subjects(arms, summary, joints)
    if ways:
        subjects = _beside_ways(subjects, summary, joints)
    first, *rest = [*ways, *subjects]
    besides = [f"{subject.named}{subject.claim}" for subject in rest]
    if len(besides) > BESIDES:
        besides[BESIDES:] = [f"{counted(len(besides) - BESIDES, 'more claim')}: under “Arm by arm” in the report."]
    besides += [claim for claim in _whose(summary, joints) if claim not in (first.claim, *besides)]
    besides[:0] = loss_claims(summary, joints, first.arms)
    return Verdict(first.headline, first.claim, first.numbers, arms, first.arms, tuple(besides))


@dataclass(frozen=True, slots=True)
class _Subject:
    """What one claim is about: a ladder, a sweep, or an arm that is in none."""

    headline: str
    claim: str
    numbers: str
    arms: tuple[str, ...]
    named: str = ""
    """Before the claim, where that alone does not name its arms."""


def _ways(summary: Summary, joints: Joints) -> list[_Subject]:
    """Before all others: which way of asking is widest, where that is what arms differ in."""
    ways = ways_claim(summary, joints)
    return [] if ways is None else [_Subject(f"{ways.claim} {ways.numbers}", ways.claim, ways.numbers, (ways.arm,))]


def _beside_ways(subjects: Sequence[_Subject], summary: Summary, joints: Joints) -> list[_Subject]:
    """Without ways of asking of which nothing is clear: the numbers of all ways stand above."""
    ways = {arm.name for arm in ways_of(summary)}
    clear = {arm for (arm, _), joint in joints.items() if joint.outcome != "unclear" or joint.clear}
    return [subject for subject in subjects if not ways.issuperset(subject.arms) or clear.intersection(subject.arms)]


def _whose(summary: Summary, joints: Joints) -> list[str]:
    """Whom each tuning served, whose opinions it moved towards, whether answers still depend on the question, whether
    models grew alike, and what decoding gives back.
    """
    told = [*rater_claims(summary).values(), *opinion_claims(summary).values()]
    return [*told, *template_claims(summary, joints), *alike_claims(summary), *decoding_claims(summary)]


def _subjects(arms: Sequence[ArmVerdict], summary: Summary, joints: Joints) -> list[_Subject]:
    """The first one's, then those of others compared like with like; what could not be measured comes last."""
    by_name = {arm.name: arm for arm in summary.arms}
    findings = {arm.arm: arm.findings for arm in arms}
    subjects: list[_Subject] = []
    for arm in sorted(arms, key=lambda arm: (not _like_with_like(by_name, arm.arm, arm.baseline), not arm.joints)):
        is_told = any(arm.arm in subject.arms for subject in subjects)
        if is_told or (subjects and not _like_with_like(by_name, arm.arm, arm.baseline)):
            continue
        subjects.append(_subject(arm, findings, summary, joints))
    return subjects


def _subject(arm: ArmVerdict, findings: Findings, summary: Summary, joints: Joints) -> _Subject:
    """The ladder that the arm is a step of, if one can be told of, or its sweep, or else the arm."""
    for ladder in ladders(summary):
        if arm.arm in ladder.arms and set(ladder.arms) <= findings.keys():
            claim, numbers = ladder_headline(ladder, findings, summary, joints)
            if claim:
                named = f"{ladder.arms[0]} to {ladder.arms[-1]}: "
                return _Subject(f"{claim} {numbers}", claim, numbers, ladder.arms, named)
    for sweep in sweeps(summary):
        if arm.arm in sweep.arms and set(sweep.arms) <= findings.keys():
            claim, numbers = sweep_headline(sweep, findings, summary, joints)
            if claim:
                return _Subject(f"{claim} {numbers}", claim, numbers, sweep.arms)
    named = "" if arm.joints or arm.claim.startswith(f"{arm.arm} ") else f"{arm.arm}: "
    return _Subject(arm.headline, arm.claim, arm.numbers, (arm.arm,), named)


def _compared(summary: Summary) -> list[tuple[str, str]]:
    """(arm, baseline) pairs; first those of another checkpoint at the baseline's own sampling settings."""
    order = {arm.name: index for index, arm in enumerate(summary.arms)}
    arms = {arm.name: arm for arm in summary.arms}
    pairs = dict.fromkeys((d.arm, d.baseline) for d in summary.differences)
    last = len(order)
    return sorted(pairs, key=lambda pair: (not _like_with_like(arms, *pair), order.get(pair[0], last), pair))


def _like_with_like(arms: dict[str, Arm], name: str, baseline_name: str) -> bool:
    arm, baseline = arms.get(name), arms.get(baseline_name)
    return bool(arm and baseline and arm.checkpoint != baseline.checkpoint and _settings(arm) == _settings(baseline))


def _settings(arm: Arm) -> tuple[float, ...] | None:
    return arm.sampling.distribution if arm.sampling else None


def _arm_verdict(arm: str, baseline: str, summary: Summary, joints: Joints) -> ArmVerdict:
    joints_of_arm = [joint for words in SIDES if (joint := joints.get((arm, words.side))) is not None]
    statements = [(words_for(joint), joint) for joint in joints_of_arm]
    standing = {split_variant(metric)[1]: metric for joint in joints_of_arm for metric in joint.together.measures}
    every = findings_of(arm, baseline, summary)
    silent = [finding.difference.metric for finding in every if joints_of_arm and _is_silent(finding, standing)]
    measures = {standing.get(finding.difference.metric, finding.difference.metric) for finding in every} - set(silent)
    findings = findings_of(arm, baseline, summary, measures)
    said, claim, numbers = headline(arm, baseline, statements, every, summary)

    def of(outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(finding for finding in findings if finding.outcome == outcome)

    return ArmVerdict(
        arm,
        baseline,
        said,
        claim,
        numbers,
        gained=of("gained"),
        lost=of("lost"),
        unclear=of("unclear"),
        changed=of("changed"),
        silent=tuple(silent),
        joints=tuple(joint for _, joint in statements),
    )


def _is_silent(finding: Finding, standing: Mapping[str, str]) -> bool:
    """Whether it has a number and a side, and yet no say."""
    has_side = finding.traits.side != "neither" and is_number(finding.difference.value)
    return has_side and finding.difference.metric not in standing


def _describe(summary: Summary) -> str:
    sentences = [_describe_arm(arm, summary) for arm in summary.arms]
    return " ".join([*filter(None, sentences), "There is no baseline to compare with."])


def _describe_arm(arm: Arm, summary: Summary) -> str:
    by_side: dict[Side, list[Estimate]] = {side: [] for side in get_args(Side)}
    for estimate in summary.estimates:
        if estimate.arm == arm.name and is_number(estimate.value) and effects.is_plain(estimate.metric):
            by_side[estimate.traits.side].append(estimate)
    shown = by_side["quality"][:1] + by_side["diversity"][:SHOWN] or by_side["match"][:1] or by_side["neither"][:1]
    if not shown:
        return f"{arm.name}: nothing could be measured."
    is_of_all = shown[0].prompts == len(summary.prompts)
    basis = sized(shown[0].prompts, summary.clusters if is_of_all else ())
    numbers = [f"{label(e.metric)} {value_text(e)} ({interval_words(e)})" for e in shown]
    drawn = f"{basis}, {counted(shown[0].samples, 'completion')} each"
    return f"{arm.name} has {listed(numbers)}: {drawn}."
