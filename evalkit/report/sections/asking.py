"""The card of ways of asking: what each was asked for, what could be told, what an answer costs, and how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.prose import counted, listed
from evalkit.records import Arm, Group
from evalkit.report.content.content import ReportContent
from evalkit.report.verdicts.ways import way_words, ways_of
from evalkit.report.wording import interval_text, label, value_text
from evalkit.runs.told import FAULTS, Told, tokens_of, told


@dataclass(frozen=True, slots=True)
class WayRow:
    """One arm."""

    arm: str
    way: str
    counts: str
    """Completions and answers asked for, told and measured, with the reasons for those that are not."""
    cost: str
    """Tokens an answer; empty where the engine does not tell them."""
    quality: str
    """Mean quality with its interval; empty where none is known."""
    stated: str
    """How often a probability was stated; empty where none was asked for."""


def rows(content: ReportContent) -> list[WayRow]:
    """A row for each way of asking, in the summary's order; none where all is asked directly."""
    arms = ways_of(content.summary)
    return [_row(arm, content.groups[arm.name], content.summary) for arm in arms if content.groups.get(arm.name)]


def _row(arm: Arm, groups: Sequence[Group], summary: Summary) -> WayRow:
    counts = told(groups)
    answers = counts.told if counts.asked else sum(len(group.completions) for group in groups)
    tokens = tokens_of(groups)
    is_verbalized = arm.asking is not None and arm.asking.way == "verbalized"
    return WayRow(
        arm.name,
        way_words(arm),
        _counts(counts) if counts.asked else counted(answers, "answer"),
        f"{tokens / answers:.1f} tokens an answer" if tokens and answers else "",
        _quality(arm.name, summary),
        f"a probability stated for {counts.stated:,} of {counts.told:,}" if is_verbalized else "",
    )


def _counts(counts: Told) -> str:
    left = [f"{number:,} {FAULTS[fault]}" for fault, number in counts.lost.items()]
    left += [f"{counts.surplus:,} more than needed"] if counts.surplus else []
    left += [f"{counts.extra:,} beyond what was asked for and not read"] if counts.extra else []
    said = f"{counts.told:,} of {counts.asked:,} answers told, from {counted(counts.draws, 'completion')}"
    return f"{said} ({listed(left)})" if left else said


def _quality(arm: str, summary: Summary) -> str:
    """By the measure that the bar is of, else the first of quality."""
    known = [e for e in summary.estimates if e.arm == arm and e.traits.side == "quality" and effects.is_plain(e.metric)]
    wanted = summary.bar.measure if summary.bar is not None else None
    shown: Estimate | None = next((e for e in known if e.metric == wanted), known[0] if known else None)
    if shown is None or shown.value is None:
        return ""
    interval = f" ({interval_text(shown)})" if interval_text(shown) else ""
    return f"{label(shown.metric)} {value_text(shown)}{interval}"
