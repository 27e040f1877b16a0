"""What the tuning gained and cost, in words; for the page and for the terminal.

A difference counts only when its Holm-adjusted p is below 0.05; a measure without a better direction is never a
gain or a loss. Only plain measures are told of: a variant asks the same once more. "Much" and "slightly" are Cohen's
large (0.8) and small (0.2) standardised differences. Arms that form a ladder are told of as one.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import get_args

from evalkit.clusters import sized
from evalkit.records import Arm, Estimate, Side, Summary
from evalkit.report import effects
from evalkit.report.effects import Outcome
from evalkit.report.findings import Finding, told_of
from evalkit.report.findings import findings as findings_of
from evalkit.report.ladder_words import Rungs, ladder_headline
from evalkit.report.ladders import Ladder, ladders
from evalkit.report.wording import LEVEL, capital, counted, interval_text, is_number, label, listed, value_text

SHOWN = 2
"""Measures named per side of the trade: the sentence must stay readable, the tables hold the rest."""
BESIDES = 4
"""Claims beneath the headline."""


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """One arm against its baseline; strongest evidence first in every list."""

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

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.gained, *self.lost, *self.unclear, *self.changed)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole summary in words."""

    headline: str
    """About the ladder or the arm that is compared like with like; every arm has its own."""
    claim: str
    """The headline without its numbers ..."""
    numbers: str
    """... and the numbers that it rests on."""
    arms: tuple[ArmVerdict, ...]
    """One a compared arm, in the summary's order, the first that is compared like with like first."""
    ladder: Ladder | None = None
    """That of the headline."""
    besides: tuple[str, ...] = ()
    """Claims about the checkpoints that the headline leaves out, compared like with like; a ladder has one."""

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
    arms = tuple(_arm_verdict(arm, baseline, summary) for arm, baseline in pairs)
    first, *rest = _subjects(arms, summary)
    besides = [f"{one.named}{one.claim}" for one in rest]
    if len(besides) > BESIDES:
        besides[BESIDES:] = [f"{counted(len(besides) - BESIDES, 'more claim')}: under “Arm by arm” in the report."]
    return Verdict(first.headline, first.claim, first.numbers, arms, first.ladder, tuple(besides))


@dataclass(frozen=True, slots=True)
class _Subject:
    """What one claim is about: a ladder, or an arm that is in none."""

    headline: str
    claim: str
    numbers: str
    ladder: Ladder | None
    named: str
    """Before the claim, where that alone does not name its arms."""


def _subjects(arms: Sequence[ArmVerdict], summary: Summary) -> list[_Subject]:
    """In the order of `arms`: the first one's, then those of other checkpoints that are compared like with like."""
    by_name = {arm.name: arm for arm in summary.arms}
    rungs = {arm.arm: arm.findings for arm in arms}
    known = [ladder for ladder in ladders(summary) if set(ladder.rungs) <= rungs.keys()]
    told: set[str] = set()
    subjects: list[_Subject] = []
    for arm in arms:
        checkpoint = by_name[arm.arm].checkpoint if arm.arm in by_name else arm.arm
        if checkpoint in told or (subjects and not _like_with_like(by_name, arm.arm, arm.baseline)):
            continue
        subject = _subject(arm, known, rungs, summary)
        told |= {by_name[rung].checkpoint for rung in subject.ladder.rungs} if subject.ladder else {checkpoint}
        subjects.append(subject)
    return subjects


def _subject(arm: ArmVerdict, known: Sequence[Ladder], rungs: Rungs, summary: Summary) -> _Subject:
    """The ladder that the arm is a rung of, if one can be told of, or else the arm."""
    for ladder in known:
        if arm.arm in ladder.rungs:
            claim, numbers = ladder_headline(ladder, rungs, summary)
            if claim:
                named = f"{ladder.rungs[0]} to {ladder.rungs[-1]}: "
                return _Subject(f"{claim} {numbers}", claim, numbers, ladder, named)
    return _Subject(arm.headline, arm.claim, arm.numbers, None, "")


def _compared(summary: Summary) -> list[tuple[str, str]]:
    """(arm, baseline) pairs; first those of another checkpoint at the baseline's own sampling settings."""
    order = {arm.name: place for place, arm in enumerate(summary.arms)}
    arms = {arm.name: arm for arm in summary.arms}
    pairs = dict.fromkeys((d.arm, d.baseline) for d in summary.differences)
    last = len(order)
    return sorted(pairs, key=lambda pair: (not _like_with_like(arms, *pair), order.get(pair[0], last), pair))


def _like_with_like(arms: dict[str, Arm], name: str, baseline_name: str) -> bool:
    arm, baseline = arms.get(name), arms.get(baseline_name)
    return bool(arm and baseline and arm.checkpoint != baseline.checkpoint and _settings(arm) == _settings(baseline))


def _settings(arm: Arm) -> tuple[float, float, float] | None:
    drawn = arm.sampling
    return (drawn.temperature, drawn.top_p, drawn.min_p) if drawn else None


def _arm_verdict(arm: str, baseline: str, summary: Summary) -> ArmVerdict:
    findings = findings_of(arm, baseline, summary)
    return ArmVerdict(
        arm,
        baseline,
        *_headline(arm, baseline, findings),
        *(tuple(f for f in findings if f.outcome == kind) for kind in ("gained", "lost", "unclear", "changed")),
    )


def _headline(arm: str, baseline: str, findings: Sequence[Finding]) -> tuple[str, str, str]:
    """The headline with its evidence in it, then its claim alone, then its numbers alone."""
    sides = {side: [finding for finding in findings if finding.traits.side == side.side] for side in _SIDES}
    defined = {side: [f for f in found if is_number(f.difference.value)] for side, found in sides.items()}
    told = [(side, found) for side, found in defined.items() if found]
    unknown = [_undefined(side.side, found) for side, found in sides.items() if found and not defined[side]]
    if not told:
        directionless = f"{arm} and {baseline} are compared only on measures without a better direction."
        said = " ".join(unknown) or directionless
        return said, said, ""
    clauses = [
        side.clause(found, f" than {baseline}" if first == 0 else "") for first, (side, found) in enumerate(told)
    ]
    tallies = [side.tally(found) for side, found in told if len(found) > 1]
    rest = [*([f"{capital('; '.join(tallies))}."] if tallies else []), *unknown]
    claim = f"{arm} {listed([words for words, _ in clauses])}."
    with_evidence = f"{arm} {listed([f'{words} ({evidence})' for words, evidence in clauses])}."
    shown = [finding for _, found in told for finding in told_of(found)]
    numbers = f"{capital('; '.join(_plainly(f, says_what=f is shown[0]) for f in shown))}."
    return " ".join([with_evidence, *rest]), claim, " ".join([numbers, *rest])


def _plainly(finding: Finding, says_what: bool) -> str:
    """`right answers (accuracy) +0.28 (95 % interval 0.25 to 0.31)`."""
    interval = f" ({f'{LEVEL} interval ' if says_what else ''}{finding.interval})" if finding.interval else ""
    return f"{finding.plain} {finding.value}{interval}"


def _undefined(side: Side, findings: Sequence[Finding]) -> str:
    names = listed([label(finding.difference.metric) for finding in findings])
    return f"{capital(side)} could not be compared ({names} undefined)."


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of the trade and the words for it."""

    side: Side
    gained: str
    lost: str
    mixed: str
    unclear: str
    rose: str
    fell: str

    def clause(self, findings: Sequence[Finding], than: str) -> tuple[str, str]:
        """What became of this side, and its evidence."""
        gained = [finding for finding in findings if finding.outcome == "gained"]
        lost = [finding for finding in findings if finding.outcome == "lost"]
        if gained and lost:
            return self.mixed.format(than=than), f"{_evidence(gained, than)}; but {_evidence(lost)}"
        decisive = gained or lost
        if not decisive:
            return self.unclear.format(than=than), _evidence(findings, than)
        pattern = self.gained if gained else self.lost
        return pattern.format(size=_size(decisive), than=than), _evidence(decisive, than)

    def tally(self, findings: Sequence[Finding]) -> str:
        counts = Counter(finding.outcome for finding in findings)
        if len(counts) == 1:
            return self._unanimous(findings)
        verbs: tuple[tuple[Outcome, str], ...] = (("gained", self.rose), ("lost", self.fell))
        parts = [f"{counts[kind]} clearly {verb}" for kind, verb in verbs if counts[kind]]
        if counts["unclear"]:
            parts.append(f"{counts['unclear']} {'shows' if counts['unclear'] == 1 else 'show'} no clear difference")
        return f"of {len(findings)} {self.side} measures {listed(parts)}"

    def _unanimous(self, findings: Sequence[Finding]) -> str:
        every = f"{'both' if len(findings) == 2 else f'all {len(findings)}'} {self.side} measures"
        if findings[0].outcome == "unclear":
            return f"{every} show no clear difference"
        return f"{every} clearly {self.rose if findings[0].outcome == 'gained' else self.fell}"


_SIDES = (
    _Side(
        side="quality",
        gained="gives {size}better answers{than}",
        lost="gives {size}worse answers{than}",
        mixed="is better{than} by some measures of quality and worse by others",
        unclear="gives answers neither clearly better nor clearly worse{than}",
        rose="improved",
        fell="worsened",
    ),
    _Side(
        side="diversity",
        gained="draws from a {size}wider range{than}",
        lost="draws from a {size}narrower range{than}",
        mixed="is wider{than} by some measures of diversity and narrower by others",
        unclear="draws from a range neither clearly wider nor clearly narrower{than}",
        rose="widened",
        fell="narrowed",
    ),
)


def _size(findings: Sequence[Finding]) -> str:
    """The median, so that one extreme measure does not write the headline."""
    sizes = [finding.size for finding in findings if finding.size is not None]
    if not sizes:
        return ""
    middle = statistics.median(sizes)
    return "much " if middle >= effects.LARGE else "slightly " if middle < effects.SMALL else ""


def _evidence(findings: Sequence[Finding], first: str = "") -> str:
    """The strongest findings, one a metric name; the first evidence of a headline says what an interval is."""
    named: dict[str, Finding] = {}
    for finding in findings:
        named.setdefault(finding.difference.metric.split("|")[0], finding)
    shown = list(named.values())[:SHOWN]
    return "; ".join(_with_interval(f, f"{LEVEL} interval " if first and f is shown[0] else "") for f in shown)


def _with_interval(finding: Finding, prefix: str) -> str:
    interval = f", {prefix}{finding.interval}" if finding.interval else ""
    return f"{finding.name} {finding.value}{interval}"


def _describe(summary: Summary) -> str:
    sentences = [_describe_arm(arm, summary) for arm in summary.arms]
    return " ".join([*filter(None, sentences), "There is no baseline to compare with."])


def _describe_arm(arm: Arm, summary: Summary) -> str:
    by_side: dict[Side, list[Estimate]] = {side: [] for side in get_args(Side)}
    for estimate in summary.estimates:
        if estimate.arm == arm.name and is_number(estimate.value) and effects.is_whole(estimate.metric):
            by_side[estimate.traits.side].append(estimate)
    shown = by_side["quality"][:1] + by_side["diversity"][:SHOWN] or by_side["match"][:1] or by_side["neither"][:1]
    if not shown:
        return f"{arm.name}: nothing could be measured."
    whole = shown[0].prompts == len(summary.prompts)
    asked = sized(shown[0].prompts, summary.clusters if whole else ())
    numbers = [f"{label(e.metric)} {value_text(e)} ({LEVEL} interval {interval_text(e)})" for e in shown]
    drawn = f"{asked}, {counted(shown[0].samples, 'completion')} each"
    return f"{arm.name} has {listed(numbers)}: {drawn}."
