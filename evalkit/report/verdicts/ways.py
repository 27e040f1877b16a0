"""Which way of asking gives the widest good answers, where a suite asks in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.registry import split_variant
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted, listed
from evalkit.records import Arm, Difference, Summary
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.wording import LEVEL, interval_text, number_text, value_text

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


def ways_claim(summary: Summary) -> WaysClaim | None:
    """The widest answers among those that are good enough, as many of each way; None where that is not compared."""
    arms = [arm.name for arm in ways_of(summary) if arm.baseline is not None]
    measure = _widest(summary, arms)
    if measure is None:
        return None
    compared = [d for d in summary.differences if d.metric == measure and d.arm in arms and is_number(d.value)]
    sign = -1 if effects.betters(summary)[measure] == "lower" else 1
    ordered = sorted(compared, key=lambda d: -sign * (d.value or 0.0))
    is_good = split_variant(measure)[0] == "useful"
    what = "good answers" if is_good else "answers, of whose quality nothing is known"
    clear = [d for d in ordered if effects.outcome(d, effects.betters(summary)[measure]) == "gained"]
    best = ordered[0]
    if clear:
        best = clear[0]
        others = _also(clear[1:])
        claim = f"Of the ways of asking {best.arm} gives the widest {what}, wider than {best.baseline}{others}."
    else:
        claim = f"No way of asking gives clearly wider {what} than {best.baseline}; {best.arm} comes first."
    return WaysClaim(claim, _numbers(summary, measure, ordered), best.arm)


def _also(others: Sequence[Difference]) -> str:
    if not others:
        return ""
    return f"; so {'does' if len(others) == 1 else 'do'} {listed([d.arm for d in others])}"


def _widest(summary: Summary, arms: Sequence[str]) -> str | None:
    """The measure of diversity that a reader pictures best, among good answers where quality is known."""
    traits, betters = effects.traits(summary), effects.betters(summary)
    known = {d.metric for d in summary.differences if d.arm in arms and is_number(d.value)}
    directed = [m for m in known if traits[m].side == "diversity" and betters[m] != "neither"]
    for variant in ("useful", "whole"):
        found = [metric for metric in directed if split_variant(metric)[0] == variant]
        if found:
            return min(found, key=lambda metric: (pictured(traits[metric]), metric))
    return None


def _numbers(summary: Summary, measure: str, ordered: Sequence[Difference]) -> str:
    """Every way's difference, its share of good answers, and on how many prompts and answers all that rests."""
    traits, passing = effects.traits(summary)[measure], summary.bar.passing if summary.bar else {}
    each = []
    for d in ordered:
        interval = f" ({LEVEL} interval {interval_text(d)})" if interval_text(d) else ""
        good = f", {passing[d.arm]:.0%} good enough" if d.arm in passing else ""
        each.append(f"{d.arm} {value_text(d, signed=True)}{interval}{good}")
    beside = ordered[0].baseline
    base = next((e for e in summary.estimates if (e.metric, e.arm) == (measure, beside)), None)
    start = f"{beside} {number_text(base.value)}" if base is not None else beside
    good = f", {passing[beside]:.0%} good enough" if beside in passing else ""
    name = named(split_variant(measure)[1], traits)
    at = ", with as many good answers of each" if split_variant(measure)[0] == "useful" else ""
    answers = f", from {counted(base.samples, 'answer')} a prompt" if base is not None else ""
    return f"{name}{at}{answers}: {start}{good}; {'; '.join(each)}."
