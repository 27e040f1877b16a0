"""The page of many runs of one suite: a line an arm and metric over time, small multiples, the tables behind them.

A line joins what may be compared and breaks where it may not: at another signature, other prompts or fewer of them,
other frames or sampling settings. The figures are made in the browser from bare numbers, so that a thousand nightly
runs stay one small page.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import counted, listed
from evalkit.plumbing.times import day_and_time
from evalkit.records import Side
from evalkit.report.content.content import MetricText
from evalkit.report.html.render import asset, render
from evalkit.report.page import SECTIONS
from evalkit.report.plots import figures, markers
from evalkit.report.sections.tables import ARROWS, DIVERSE
from evalkit.report.wording import LEVEL, label

MOST_MARKED = 120
"""Runs above which points are no longer marked one by one."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run, of which only the summary is read."""

    name: str
    started: datetime.datetime
    evalkit: str
    folder: str
    prompts: int
    arms: tuple[str, ...]
    tags: tuple[str, ...] = ()
    """What the user called it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One arm's numbers under one metric, one a run in the order of time; None where the run has none."""

    arm: str
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    signatures: tuple[str | None, ...]
    breaks: tuple[int, ...]
    """Places of the runs whose number must not be compared with the one before."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric."""

    metric: str
    side: Side
    text: MetricText
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    """Where its signature changed, and how."""


@dataclass(frozen=True, slots=True)
class History:
    """All of it; runs in the order of time."""

    suite: str
    runs: tuple[PastRun, ...]
    arms: tuple[str, ...]
    trends: tuple[Trend, ...]
    notes: tuple[str, ...]
    """Where prompts or sampling settings changed, which breaks every line."""

    @property
    def breaks(self) -> tuple[str, ...]:
        """Every break in words."""
        by_metric = (f"{label(trend.metric)}: {note}" for trend in self.trends for note in trend.notes)
        return (*self.notes, *by_metric)


def history_page(history: History) -> str:
    """The page as HTML, ready to be written as UTF-8."""
    numbered = list(enumerate(history.trends))
    sections = [
        (side, title, lead, [pair for pair in numbered if pair[1].side == side]) for side, title, lead in SECTIONS
    ]
    view = {
        "title": f"{history.suite} over time",
        "headline": _headline(history),
        "sections": [section for section in sections if section[-1]],
        "arms": [(arm, markers.colour(number), markers.mark(number)) for number, arm in enumerate(history.arms)],
        "runs": [(run, day_and_time(run.started)) for run in history.runs],
        "notes": history.notes,
        "label": label,
        "arrow": lambda trend: (DIVERSE if trend.side == "diversity" else ARROWS)[trend.text.better],
        "confidence": LEVEL,
    }
    styles = [asset("evalkit.report.html", "style.css"), asset("evalkit.report.html", "history.css")]
    scripts = [asset("evalkit.report.html", name) for name in ("names.js", "charts.js", "history.js")]
    return render("history.html.jinja", styles, scripts, _data(history), view)


def _headline(history: History) -> str:
    first, last = history.runs[0].started, history.runs[-1].started
    when = f"on {_day(first)}" if first.date() == last.date() else f"from {_day(first)} to {_day(last)}"
    metrics = counted(len(history.trends), "metric")
    return f"{counted(len(history.runs), 'run')} of {history.suite}, {when}: {metrics} of {listed(history.arms)}."


def _day(moment: datetime.datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _data(history: History) -> JSON:
    """All that history.js reads; names as Plotly must show them, and as they are for tables and files."""
    return {
        "file": re.sub(r"[^A-Za-z0-9._-]+", "-", f"{history.suite}-history").strip("-."),
        "confidence": LEVEL,
        "marked": len(history.runs) <= MOST_MARKED,
        "runs": [
            {
                "name": run.name,
                "shown": figures.shown(run.name),
                "at": f"{run.started:%Y-%m-%d %H:%M:%S}",
                "started": run.started.isoformat(),
            }
            for run in history.runs
        ],
        "arms": [
            {
                "name": arm,
                "shown": figures.shown(arm),
                "colour": markers.themed(number),
                "symbol": markers.symbol(number),
            }
            for number, arm in enumerate(history.arms)
        ],
        "trends": [_trend(trend, history.arms) for trend in history.trends],
    }


def _trend(trend: Trend, arms: Sequence[str]) -> JSON:
    known = list(dict.fromkeys(s for line in trend.lines for s in line.signatures if s is not None))
    lines: list[JSON] = [
        {
            "arm": list(arms).index(line.arm),
            "values": [_brief(value) for value in line.values],
            "lows": [_brief(value) for value in line.lows],
            "highs": [_brief(value) for value in line.highs],
            "signatures": [None if s is None else known.index(s) for s in line.signatures],
            "breaks": list(line.breaks),
        }
        for line in trend.lines
    ]
    return {
        "metric": trend.metric,
        "name": label(trend.metric),
        "signatures": known,
        "lines": lines,
        "layout": _layout(trend),
    }


def _layout(trend: Trend) -> dict[str, Any]:
    turned = {"autorange": "reversed"} if trend.text.better == "lower" else {}
    return figures.page_layout(
        height=230,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        showlegend=False,
        xaxis=figures.GRID | {"type": "date", "automargin": True, "nticks": 6},
        yaxis=figures.GRID
        | turned
        | {"automargin": True, "nticks": 6, "title": {"text": figures.shown(trend.text.unit), "font": {"size": 12}}},
    )


def _brief(value: float | None) -> float | None:
    """Six digits: more than an interval is worth, and a third of a double's."""
    return None if value is None else float(f"{value:.6g}")
