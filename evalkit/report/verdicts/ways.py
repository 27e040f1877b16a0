"""Which way of asking gives the widest good answers, where a suite asks in several ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.summary import Difference, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import listed
from evalkit.records import Arm
from evalkit.report.verdicts.joint import Joint, Joints
from evalkit.report.wording import LEVEL, deviations, interval_text, label, value_text

WAYS = {
    "list": "{answers} answers in one completion",
    "verbalized": "{answers} answers in one completion, each with its probability",
    "paraphrases": "{wordings} wordings in turn",
    "plain": "without its chat template",
}


@dataclass(frozen=True, slots=True)
class WaysClaim:
    """The answer in words."""

    claim: str
    numbers: str
    arm: str
    """The way that it names first."""


def way_words(arm: Arm) -> str:
    """How an arm's prompts are put, as a reader is told."""
    if arm.asking is None:
        return "one answer in each completion" + (", under a system message" if arm.system else "")
    return WAYS[arm.asking.way].format(answers=arm.asking.answers, wordings=arm.asking.wordings)


def ways_of(summary: Summary) -> list[Arm]:
    """The arms that are ways of asking: those that are not asked directly, what they are compared with, and what is
    asked under another system message than that. None where all are asked directly.
    """
    beside = {arm.baseline or arm.name for arm in summary.arms if arm.asking is not None}
    systems = {arm.name: arm.system for arm in summary.arms}
    return [
        arm
        for arm in summary.arms
        if arm.asking is not None
        or arm.name in beside
        or (arm.baseline in beside and arm.system != systems.get(arm.baseline or ""))
    ]


def ways_claim(summary: Summary, joints: Joints) -> WaysClaim | None:
    """The widest range among the ways whose answers are not clearly worse; None where ranges are not compared.

    The range is what all measures of diversity say together, the quality that of the suite's own measure.
    """
    compared = [arm.name for arm in ways_of(summary) if arm.baseline is not None]
    ranges = [joint for name in compared if (joint := joints.get((name, "diversity"))) is not None]
    if not ranges:
        return None
    ordered = sorted(ranges, key=lambda joint: -joint.together.value)
    wider = [joint.arm for joint in ordered if joint.together.outcome == "gained"]
    quality = {name: _quality(name, summary) for name in compared}
    worse = [name for name in wider if (found := quality[name]) is not None and _outcome(found, summary) == "lost"]
    good = [name for name in wider if name not in worse]
    claim = _claim(good, worse, ordered[0].baseline, any(quality.values()))
    return WaysClaim(claim, _numbers(ordered, quality, summary), (good or wider or [ordered[0].arm])[0])


def _claim(good: Sequence[str], worse: Sequence[str], baseline: str, is_judged: bool) -> str:
    kind = "good answers" if is_judged else "answers, whose quality is not known"
    lesser = f" {listed(worse)} {'gives' if len(worse) == 1 else 'give'} wider ones that are worse." if worse else ""
    if not good:
        return f"No way of asking gives clearly wider {kind} than {baseline}.{lesser}"
    also = f"; so {'does' if len(good) == 2 else 'do'} {listed(good[1:])}" if len(good) > 1 else ""
    return f"Of the ways of asking {good[0]} gives the widest {kind}, wider than {baseline}{also}.{lesser}"


def _numbers(ordered: Sequence[Joint], quality: Mapping[str, Difference | None], summary: Summary) -> str:
    """Every way's range and quality against direct, the widest first, and its share of good answers."""
    passing = summary.bar.passing if summary.bar else {}
    baseline = ordered[0].baseline
    each = []
    for joint in ordered:
        value, interval = deviations(joint.together.value, joint.together.low, joint.together.high)
        parts = [f"range {value} standard deviations" + (f" ({interval})" if interval else "")]
        if (found := quality[joint.arm]) is not None:
            told = f" ({interval_text(found)})" if interval_text(found) else ""
            parts.append(f"{label(found.metric)} {value_text(found, signed=True)}{told}")
        parts += [f"{passing[joint.arm]:.0%} good enough"] if joint.arm in passing else []
        each.append(f"{joint.arm} {', '.join(parts)}")
    silent = [name for name in quality if name not in {joint.arm for joint in ordered}]
    each += [f"{listed(silent)} cannot be told of"] if silent else []
    beside = f" ({passing[baseline]:.0%} good enough)" if baseline in passing else ""
    return f"Against {baseline}{beside}, with {LEVEL} intervals: {'; '.join(each)}."


def _quality(arm: str, summary: Summary) -> Difference | None:
    """Its difference in what the suite calls quality."""
    if summary.bar is None:
        return None
    found = (d for d in summary.differences if (d.arm, d.metric) == (arm, summary.bar.measure))
    return next((d for d in found if is_number(d.value)), None)


def _outcome(difference: Difference, summary: Summary) -> effects.Outcome:
    return effects.outcome(difference, effects.betters(summary)[difference.metric])
