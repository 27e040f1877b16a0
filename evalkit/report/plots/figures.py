"""The plots, as plain Plotly figures (data and layout).

Colours are names of the page's CSS variables, which the page looks up when it draws, so that one figure serves the
light theme, the dark one and print. Text goes through `shown`: Plotly reads a small HTML dialect in its labels, and
arm and metric names are not ours.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from evalkit.analysis import effects
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import short
from evalkit.records import Better, Side
from evalkit.report.plots import markers
from evalkit.report.wording import interval_words, label, p_text, value_text

Figure = dict[str, Any]
OUTCOMES: dict[effects.Outcome, str] = {
    "gained": "triangle-right",
    "lost": "triangle-left",
    "unclear": "circle-open",
    "changed": "diamond",
}
"""Full and pointed where a difference is clear, hollow where it is not: no colour is needed to see it."""
LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
"""For plots of any height: how far below the plot the axis's title ends is no share of its height."""
ROW, NARROW_ROW = 34, 24
"""Pixels a row of a dot plot takes, and one of many rows."""
MANY = 12
GRID = {
    "gridcolor": "var(--grid)",
    "linecolor": "var(--axis)",
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": "var(--axis)",
}


def shown(text: str) -> str:
    """Text that Plotly must show as it is, at a length that leaves room for the plot."""
    return html.escape(short(" ".join(text.split())), quote=False)


def measures(summary: Summary, side: Side) -> list[str]:
    """Measures of that side, in the summary's order, in their plain form."""
    return [
        metric for metric, traits in effects.traits(summary).items() if traits.side == side and effects.is_plain(metric)
    ]


def direction(side: Side) -> str:
    """What is further along an axis in a measure's better direction."""
    return {"quality": "better", "diversity": "more diverse", "match": "nearer", "neither": "more"}[side]


def plottable(summary: Summary, side: Side) -> list[str]:
    """Those of them that any arm has a number for."""
    known = {estimate.metric for estimate in summary.estimates if is_number(estimate.value)}
    return [metric for metric in measures(summary, side) if metric in known]


def dots(summary: Summary, metric: str) -> Figure:
    """One measure, an arm a row."""
    estimates, numbers = effects.estimates(summary), markers.numbers(summary)
    rows = [(arm.name, estimates[metric, arm.name]) for arm in summary.arms if (metric, arm.name) in estimates]
    known = [(arm, estimate) for arm, estimate in rows if is_number(estimate.value)]
    data = [
        _dot_trace(
            x=[estimate.value for _, estimate in known],
            y=[shown(arm) for arm, _ in known],
            error=_error([estimate for _, estimate in known]),
            colour=[markers.themed(numbers[arm]) for arm, _ in known],
            text=[estimate_hover(estimate) for _, estimate in known],
        )
    ]
    better = effects.betters(summary)[metric]
    axis = _axis(metric, better, direction(effects.traits(summary)[metric].side))
    return {
        "data": data,
        "layout": page_layout(height=110 + _row(len(known)) * len(known), xaxis=axis, yaxis=_rows(known)),
    }


def forest(summary: Summary, arm: str, baseline: str) -> Figure | None:
    """Standardised differences of one arm to its baseline, right is better, the largest gain on top."""
    betters, estimates = effects.betters(summary), effects.estimates(summary)
    rows = []
    for difference in summary.differences:
        better = betters.get(difference.metric, "neither")
        if (difference.arm, difference.baseline) != (arm, baseline) or better == "neither":
            continue
        if not effects.is_plain(difference.metric):
            continue
        effect = effects.effect(difference, estimates.get((difference.metric, baseline)))
        if effect:
            rows.append((difference, better, effects.towards_better(effect, better)))
    if not rows:
        return None
    rows.sort(key=lambda row: -row[2].value)
    outcomes = [effects.outcome(difference, better) for difference, better, _ in rows]
    trace = _dot_trace(
        x=[effect.value for _, _, effect in rows],
        y=[shown(label(difference.metric)) for difference, _, _ in rows],
        error=bars([(e.low, e.value, e.high) for _, _, e in rows]),
        colour=[f"var(--{outcome})" for outcome in outcomes],
        text=[_difference_hover(difference, better) for difference, better, _ in rows],
    )
    trace["marker"] |= {"symbol": [OUTCOMES[outcome] for outcome in outcomes], "size": 11}
    return {"data": [trace], "layout": _forest_layout(rows)}


def _forest_layout(rows: Sequence[tuple[Difference, Better, effects.Effect]]) -> Figure:
    axis = GRID | {"title": {"text": "standard deviations"}, "automargin": True}
    zero = {
        "type": "line",
        "x0": 0,
        "x1": 0,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "var(--ink)", "width": 1},
    }
    sides = [_side("← lost", 0, "left"), _side("gained →", 1, "right")]
    return page_layout(
        height=130 + _row(len(rows)) * len(rows), xaxis=axis, yaxis=_rows(rows), shapes=[zero], annotations=sides
    )


def _row(count: int) -> int:
    return ROW if count <= MANY else NARROW_ROW


def _side(text: str, x: float, anchor: str) -> Figure:
    font = {"color": "var(--muted)", "size": 12}
    position = {
        "x": x,
        "y": 1,
        "xref": "paper",
        "yref": "paper",
        "xanchor": anchor,
        "yanchor": "bottom",
        "showarrow": False,
    }
    return {"text": text, "font": font} | position


def _dot_trace(x: list[Any], y: list[str], error: Figure, colour: list[str], text: list[str]) -> Figure:
    # Plotly gives all error bars of a trace one colour, so the bars are the page's neutral and the dots carry meaning.
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": list(range(len(y))),
        "customdata": y,
        "error_x": error | {"color": "var(--muted)"},
        "hovertext": [f"<b>{name}</b><br>{line}" for name, line in zip(y, text, strict=True)],
        "hoverinfo": "text",
        "marker": {"color": colour, "size": 10},
        "showlegend": False,
    }


def _rows(rows: Sequence[tuple[Any, ...]]) -> Figure:
    names = [row[0] if isinstance(row[0], str) else label(row[0].metric) for row in rows]
    ticks = {"tickmode": "array", "tickvals": list(range(len(rows))), "ticktext": [shown(name) for name in names]}
    return ticks | {
        "range": [len(rows) - 0.4, -0.6],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }


def _axis(metric: str, better: Better, words: str) -> Figure:
    """An axis on which the good direction is right or up, whatever the sign of the measure."""
    turned = {"autorange": "reversed"} if better == "lower" else {}
    return GRID | turned | {"title": {"text": f"{shown(label(metric))} ({words} →)"}, "automargin": True}


def _error(estimates: Sequence[Estimate]) -> Figure:
    return bars([(estimate.low, estimate.value, estimate.high) for estimate in estimates])


def bars(intervals: Sequence[tuple[float | None, float | None, float | None]]) -> Figure:
    """Error bars of (low, value, high)."""
    up = [high - value if is_number(value) and is_number(high) else 0.0 for _, value, high in intervals]
    down = [value - low if is_number(value) and is_number(low) else 0.0 for low, value, _ in intervals]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, "width": 0}


def estimate_hover(estimate: Estimate) -> str:
    """A value and its interval, for a tooltip."""
    return f"{shown(label(estimate.metric))} {value_text(estimate)}, {interval_words(estimate)}"


def _difference_hover(difference: Difference, better: Better) -> str:
    words = f"{value_text(difference, signed=True)}, {interval_words(difference)}"
    return f"{words}<br>Holm {p_text(difference.p_adjusted)}; {better} is better"


def page_layout(**given: Any) -> Figure:
    """What every figure's layout has, with what is `given`."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--ink)", "size": 13},
        "margin": {"l": 8, "r": 24, "t": 36, "b": 8},
        "hoverlabel": {"bgcolor": "var(--paper)", "bordercolor": "var(--axis)", "font": {"color": "var(--ink)"}},
        "legend": {"orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom"},
        "dragmode": False,
        "hovermode": "closest",
    } | given
