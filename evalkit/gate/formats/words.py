"""A verdict in words, the same wherever it is told. Text from summary files is untrusted: each teller escapes it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.gate.decide import GateDecision, GateOutcome, Judgement
from evalkit.gate.stats.noninferiority import POWER
from evalkit.plumbing.prose import counted, listed, short
from evalkit.report.wording import label, percent
from evalkit.runs.asked import few

OUTCOMES: dict[GateOutcome, str] = {"regression": "Regression", "inconclusive": "Inconclusive", "pass": "Pass"}
NAMED = 3
"""Measures named in a headline."""
LONGEST = 120
"""Characters of a name that are shown."""
LONGEST_NOTE = 600
"""The same of a note, which may name many arms."""


def headline(verdict: GateDecision) -> str:
    """One sentence on the whole."""
    all_of_them = counted(len(verdict.judgements), "measure")
    if verdict.outcome == "pass":
        verb = "is" if len(verdict.judgements) == 1 else "are all"
        return f"Pass: {all_of_them} {verb} within what may be lost."
    decisive = [judgement for judgement in verdict.judgements if judgement.outcome == verdict.outcome]
    more = [f"{len(decisive) - NAMED} more"] if len(decisive) > NAMED else []
    names = listed([*(subject(judgement) for judgement in decisive[:NAMED]), *more])
    if verdict.outcome == "regression":
        return f"Regression: {len(decisive)} of {all_of_them} lost more than is allowed ({names})."
    return f"Inconclusive: {len(decisive)} of {all_of_them} cannot be told ({names})."


def name(text: str) -> str:
    """A name from a file, short and on one line."""
    return short(one_line(text), LONGEST)


def one_line(text: str) -> str:
    """The text on one line; `::` in it could be read as a command by a CI runner."""
    return " ".join(text.split()).replace("::", ": :")


def notes(verdict: GateDecision) -> list[str]:
    """What must be said of the two sides as a whole, a sentence each."""
    return [f"Note: {short(one_line(note), LONGEST_NOTE)}." for note in verdict.notes]


def shared(verdict: GateDecision) -> str:
    """By how many prompts the two were judged, and a few of those that were left out; empty where all counted."""
    common = verdict.common
    if common is None or common.is_all:
        return ""
    lists = [f"{title}: {len(prompts)} ({few([*map(name, prompts)])})" for title, prompts in left_out(verdict)]
    return (
        f"Judged by the {counted(len(common.prompts), 'prompt')} that both asked alike, {percent(common.share)} of the "
        f"larger side's (a pass needs {percent(common.least)}). Left out, {'; '.join(lists)}."
    )


def left_out(verdict: GateDecision) -> list[tuple[str, tuple[str, ...]]]:
    """Which prompts took no part: why, and all of them by name."""
    common = verdict.common
    if common is None:
        return []
    parts = [
        (f"only in {name(verdict.new)}", common.only_here),
        (f"only in {name(verdict.old)}", common.only_there),
        ("asked otherwise under the same id", common.changed),
    ]
    return [(title, prompts) for title, prompts in parts if prompts]


def subject(judgement: Judgement) -> str:
    """`vendi of tuned`."""
    return f"{metric_name(judgement)} of {name(judgement.arm)}"


def metric_name(judgement: Judgement) -> str:
    return name(label(judgement.metric))


def arms(judgement: Judgement) -> str:
    """`tuned`, or `tuned against base`."""
    arm, against = name(judgement.arm), name(judgement.against)
    return arm if arm == against else f"{arm} against {against}"


def moved(judgement: Judgement) -> str:
    """`−12.3 % (−14.0 to −10.5)`; plus is better, whichever way the metric runs."""
    if judgement.change is None:
        return "not defined"
    value, unit = _number(judgement, judgement.change), " %" if judgement.unit == "relative" else ""
    if judgement.low is None or judgement.high is None or math.isclose(judgement.low, judgement.high, rel_tol=1e-9):
        return f"{value}{unit}"  # where nothing varies, no interval is known, and the remark says so
    return f"{value}{unit} ({_number(judgement, judgement.low)} to {_number(judgement, judgement.high)})"


def allowed(judgement: Judgement) -> str:
    """`−5 %`, `−0.02`, `−3 SE`."""
    if judgement.unit == "relative":
        return f"−{100 * judgement.allowed:g} %"
    return f"−{judgement.allowed:g} SE" if judgement.unit == "standard_errors" else f"−{judgement.allowed:g}"


def prompt_count(judgement: Judgement) -> str:
    """`100`, or `100 in 20 clusters`."""
    if judgement.units == judgement.prompts:
        return str(judgement.prompts)
    return f"{judgement.prompts} in {counted(judgement.units, 'cluster')}"


def remark(judgement: Judgement) -> str:
    """What else there is to say; may be empty."""
    unit = "prompt" if judgement.units == judgement.prompts else "cluster"
    settle = (
        f"about {counted(judgement.needed, unit)} like these would settle it ({POWER:.0%} chance)"
        if judgement.needed is not None
        else ""
    )
    return "; ".join(part for part in (judgement.note, settle) if part)


def remarks(judgements: Sequence[Judgement]) -> list[str]:
    """What else there is to say of some, each thing once with the measures that it is said of."""
    of: dict[str, list[str]] = {}
    for judgement in judgements:
        if said := remark(judgement):
            of.setdefault(said, []).append(metric_name(judgement))
    return [f"{listed(names)}: {said}" for said, names in of.items()]


def sentence(judgement: Judgement) -> str:
    """One judgement on one line."""
    loss = f"{metric_name(judgement)}, {arms(judgement)}: {moved(judgement)}, {allowed(judgement)} allowed"
    return f"{loss}; {remark(judgement)}" if remark(judgement) else loss


def _number(judgement: Judgement, value: float) -> str:
    shown = f"{100 * value:+.1f}" if judgement.unit == "relative" else f"{value:+.3g}"
    if float(shown) == 0:
        return shown.lstrip("+-")
    return shown.replace("-", "−", 1) if shown.startswith("-") else shown
