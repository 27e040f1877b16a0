"""The headline about one arm: a claim for each side, then the numbers and the caveats that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.analysis import effects
from evalkit.analysis.clusters import sized
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import capital, listed, short
from evalkit.records import Side
from evalkit.report.verdicts.findings import Finding, most_telling
from evalkit.report.verdicts.findings import findings as findings_of
from evalkit.report.verdicts.joint import TWO, Joint
from evalkit.report.verdicts.opinions import opinion_claims
from evalkit.report.verdicts.rater_groups import groups_of
from evalkit.report.verdicts.side_words import SIDES, SideWords
from evalkit.report.wording import deviations, label, with_level

SAID: dict[Side, str] = {"quality": "quality", "diversity": "diversity", "match": "agreement"}
SHOWN = 2
"""Measures named per side of the trade: the sentence must stay readable, the tables hold the rest."""
GRAVE = {
    "withheld": "Some answers of {arms} were refused or filtered by the provider.",
    "truncated": "Answers of {arms} were cut at max_tokens.",
    "empty": "Many answers of {arms} are empty.",
    "thinking": "Some completions of {arms} were cut before they came to an answer.",
    "asking": "Not all answers that {arms} was asked for could be told.",
    "same answer": "{arms} gives the same answer to many different prompts.",
}
"""Kinds of alarms that a reader of the headline alone must know of, in words."""


def headline(
    arm: str,
    baseline: str,
    statements: Sequence[tuple[SideWords, Joint]],
    findings: Sequence[Finding],
    summary: Summary,
) -> tuple[str, str, str]:
    """The headline with its evidence in it, then its claim alone, then its numbers alone."""
    unknown = unknown_sides(statements, findings, summary)
    if not statements:
        directionless = opinion_claims(summary).get(
            arm, f"{arm} and {baseline} are compared only on measures without a better direction."
        )
        said = " ".join(unknown) or directionless
        return said, said, ""
    by_side = {words.side: findings_of(arm, baseline, summary, joint.together.measures) for words, joint in statements}
    clauses = [
        words.clause(joint, f" than {baseline}" if first == 0 else "")
        for first, (words, joint) in enumerate(statements)
    ]
    clauses = _with_noise(clauses, statements)
    inside = [
        _numbers_inside(joint, by_side[words.side], summary, names_level=first == 0)
        for first, (words, joint) in enumerate(statements)
    ]
    tallies = [words.tally(by_side[words.side]) for words, _ in statements if len(by_side[words.side]) > 1]
    rest = [
        *([f"{capital('; '.join(tallies))}."] if tallies else []),
        *unknown,
        *caveats([arm, baseline], [joint for _, joint in statements], summary),
    ]
    claim = f"{arm} {listed(clauses)}."
    full = f"{arm} {listed([f'{words} ({shown})' for words, shown in zip(clauses, inside, strict=True)])}."
    numbers = f"{capital('; '.join(_numbers(statements, by_side, summary)))}."
    return " ".join([full, *rest]), claim, " ".join([numbers, *rest])


def unknown_sides(
    statements: Sequence[tuple[SideWords, Joint]], findings: Sequence[Finding], summary: Summary
) -> list[str]:
    """A sentence for each side that was asked for and of which no measure can speak."""
    known = {words.side for words, _ in statements}
    by_side = {words.side: [f for f in findings if f.traits.side == words.side] for words in SIDES}
    return [_undefined(side, of_side, summary) for side, of_side in by_side.items() if of_side and side not in known]


def _undefined(side: Side, findings: Sequence[Finding], summary: Summary) -> str:
    if side == "diversity" and all(e.samples < TWO for e in summary.estimates if e.traits.side == side):
        return "Diversity could not be compared: one completion a prompt does not show how much its answers differ."
    if side == "diversity" and any(a.kind == "script" and a.arm == findings[0].difference.arm for a in summary.alarms):
        return "Diversity could not be compared: texts in different scripts are various in different ways."
    names = listed([label(finding.difference.metric) for finding in findings])
    if all(is_number(finding.difference.value) for finding in findings):
        why = "at a bound on every prompt, or moved by length alone"
        return f"{capital(SAID[side])} could not be compared ({names} {why})."
    return f"{capital(SAID[side])} could not be compared ({names} undefined)."


def _with_noise(clauses: Sequence[str], statements: Sequence[tuple[SideWords, Joint]]) -> list[str]:
    """A wider range is said to be of unknown worth where no quality is known: noise is various too."""
    has_quality = any(words.side == "quality" for words, _ in statements)
    wider = [is_wider(joint) for _, joint in statements]
    return [
        f"{clause}, of answers whose quality is not known: noise is various too"
        if is_so and not has_quality
        else clause
        for clause, is_so in zip(clauses, wider, strict=True)
    ]


def is_wider(joint: Joint) -> bool:
    """Whether a range is wider as a whole, or in any family by itself."""
    return joint.side == "diversity" and any(part.outcome == "gained" for part in (joint.together, *joint.clear))


def caveats(arms: Sequence[str], joints: Sequence[Joint], summary: Summary) -> list[str]:
    """What a reader of a headline about these arms, baselines among them, must know if he reads nothing else."""
    said = []
    for kind, sentence in GRAVE.items():
        grave = [alarm.arm for alarm in summary.alarms if alarm.kind == kind and alarm.arm in arms]
        if grave:
            said.append(sentence.format(arms=listed(dict.fromkeys(grave))))
    said += _systems(arms, summary)
    for names, why in (("by_length", "Lengths differ"), ("by_tokenizer", "Tokenizers differ")):
        aside = list(dict.fromkeys(label(metric) for joint in joints for metric in getattr(joint, names)))
        if aside:
            said.append(f"{why}, so {listed(aside)} {'has' if len(aside) == 1 else 'have'} no say.")
    said += [
        f"{alarm.arm} and its baseline share too few prompts for more than a first impression."
        for alarm in summary.alarms
        if alarm.kind == "few shared prompts" and alarm.arm in arms
    ]
    if any(alarm.kind == "few prompts" for alarm in summary.alarms):
        said.append(f"{sized(len(summary.prompts), summary.clusters)} can give no more than a first impression.")
    return said


def _systems(arms: Sequence[str], summary: Summary) -> list[str]:
    """What tuned checkpoints are told before each prompt, where they are not told the same."""
    systems = {arm.checkpoint: arm.system for arm in summary.arms if arm.name in arms and arm.kind == "tuned"}
    if len(set(systems.values())) < 2:
        return []
    each = [
        f"{name} “{short(' '.join(text.split()), 60)}”" if text else f"{name} none" for name, text in systems.items()
    ]
    return [f"System messages differ: {listed(each)}."]


def but_chance(joint: Joint, shown: Sequence[Finding], summary: Summary) -> str:
    """Why nothing is claimed of a side though an interval leaves 0 out; empty where none does, or something is."""
    is_claimed = joint.outcome != "unclear" or joint.clear or any(finding.outcome != "unclear" for finding in shown)
    together = (joint.together.low, joint.together.high)
    intervals = [together, *((finding.difference.low, finding.difference.high) for finding in shown)]
    if is_claimed or not any(is_number(low) and is_number(high) and (low > 0 or high < 0) for low, high in intervals):
        return ""
    tested = sum(effects.is_plain(d.metric) and is_number(d.p) for d in summary.differences)
    if tested > 1:
        return f"no more than chance may bring among {tested} differences tested at once"
    return f"its p is not below the {joint.together.level:g} that a claim needs"


def _numbers_inside(joint: Joint, findings: Sequence[Finding], summary: Summary, names_level: bool) -> str:
    """The side as a whole, and the strongest of what is clear by itself, one a metric name."""
    named: dict[str, Finding] = {}
    groups = groups_of(finding.difference.metric for finding in findings)
    for finding in _telling(joint, findings):
        metric = finding.difference.metric
        named.setdefault(metric if metric in groups else split_variant(metric)[1].split("|")[0], finding)
    # Of groups of people none is left out.
    shown = [finding for place, (name, finding) in enumerate(named.items()) if name in groups or place < SHOWN]
    joint_words = [_together(joint, names_level)] if _is_told_as_one(joint) else []
    return "; ".join([
        *joint_words,
        *(_with_interval(f, names_level and f is shown[0] and not joint_words) for f in shown),
        *filter(None, [but_chance(joint, shown, summary)]),
    ])  # fmt: skip


def _telling(joint: Joint, findings: Sequence[Finding]) -> Sequence[Finding]:
    """The findings that say what the side says; all of them where none does."""
    if joint.is_apart:
        groups = groups_of(finding.difference.metric for finding in findings)
        return sorted(findings, key=lambda finding: finding.difference.metric not in groups)
    if joint.disagree:
        return most_telling(findings)
    said = joint.outcome
    return [f for f in findings if f.outcome == said] or [f for f in findings if f.outcome != "unclear"] or findings


def _is_told_as_one(joint: Joint) -> bool:
    """Whether one number for the whole side says more than its measures do."""
    return len(joint.together.measures) > 1 and not joint.disagree and not joint.is_apart


def _together(joint: Joint, names_level: bool) -> str:
    value, interval = _value_and_interval(joint)
    return f"together {value} standard deviations, {with_level(interval, names_level)}"


def _value_and_interval(joint: Joint) -> tuple[str, str]:
    return deviations(joint.together.value, joint.together.low, joint.together.high)


def _with_interval(finding: Finding, names_level: bool) -> str:
    interval = f", {with_level(finding.interval, names_level)}" if finding.interval else ""
    return f"{finding.name} {finding.value}{interval}"


def _numbers(
    statements: Sequence[tuple[SideWords, Joint]], by_side: Mapping[Side, Sequence[Finding]], summary: Summary
) -> list[str]:
    """`diversity as a whole −0.4 standard deviations (95 % interval −0.6 to −0.2)`, then what tells each side."""
    parts = []
    for words, joint in statements:
        if _is_told_as_one(joint):
            value, interval = _value_and_interval(joint)
            parts.append((f"{SAID[words.side]} as a whole {value} standard deviations", interval))
        telling = _telling(joint, by_side[words.side])
        shown = [] if not telling else telling if joint.is_apart else most_telling(telling)
        parts += [(f"{finding.plain} {finding.value}", finding.interval) for finding in shown]
        parts += [(why, "") for why in [but_chance(joint, shown, summary)] if why]
    return [
        f"{said} ({with_level(interval, names_level=index == 0)})" if interval else said
        for index, (said, interval) in enumerate(parts)
    ]
