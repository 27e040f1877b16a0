"""Results as a notebook shows them: the verdict, what spoils numbers, and the measures. All text is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis import effects
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.report.html.render import fragment
from evalkit.report.sections.alarm_lines import alarm_lines
from evalkit.report.verdicts.verdict import Verdict
from evalkit.report.wording import interval_text, label, p_text, value_text

ROWS = 12
"""Rows that are shown; the frames have all."""
Cells = tuple[str, ...]


def results_html(summary: Summary, verdict: Verdict, facts: str) -> str:
    """A few lines and one table."""
    titles, rows, more = _compared(summary) if summary.differences else _measured(summary)
    return fragment(
        "results.html.jinja",
        {
            "claim": verdict.claim,
            "numbers": verdict.numbers,
            "besides": verdict.besides,
            "alarms": alarm_lines(summary),
            "facts": facts,
            "titles": titles,
            "rows": rows[:ROWS],
            "left_out": max(len(rows) - ROWS, 0),
            "more": more,
        },
    )


def _compared(summary: Summary) -> tuple[Cells, Sequence[Cells], str]:
    """Clear differences first."""
    directions, estimates = effects.betters(summary), effects.estimates(summary)
    plain = [d for d in summary.differences if effects.is_plain(d.metric)]
    outcomes = {
        id(d): effects.outcome(d, directions.get(d.metric, "neither")) if is_number(d.value) else "" for d in plain
    }
    plain.sort(key=lambda d: outcomes[id(d)] in {"unclear", ""})
    rows = [
        (label(d.metric), d.arm, _number(estimates.get((d.metric, d.arm))), d.baseline,
         _number(estimates.get((d.metric, d.baseline))), _number(d, signed=True), p_text(d.p_adjusted), outcomes[id(d)])
        for d in plain
    ]  # fmt: skip
    return ("measure", "arm", "", "baseline", "", "difference", "Holm", ""), rows, "differences"


def _measured(summary: Summary) -> tuple[Cells, Sequence[Cells], str]:
    plain = [e for e in summary.estimates if effects.is_plain(e.metric)]
    rows = [(label(e.metric), e.arm, _number(e), e.better) for e in plain]
    return ("measure", "arm", "mean over prompts", "better"), rows, "estimates"


def _number(estimate: Estimate | Difference | None, signed: bool = False) -> str:
    if estimate is None:
        return ""
    interval = interval_text(estimate)
    return f"{value_text(estimate, signed)} ({interval})" if interval else value_text(estimate, signed)
