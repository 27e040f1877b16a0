"""The plots, as plain Plotly figures (data and layout).

Colours are names of the page's CSS variables, which the page looks up when it draws, so that one figure serves the
light theme, the dark one and print. Text goes through `shown`: Plotly reads a small HTML dialect in its labels, and
arm and metric names are not ours.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from evalkit.records import Arm, Better, Difference, Estimate, Summary
from evalkit.report import effects
from evalkit.report.wording import LEVEL, interval_text, is_number, label, p_text, short, value_text

Figure = dict[str, Any]
COLOURS = 7
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "cross")
ROW = 34
"""Pixels a row of a dot plot needs."""
DISTANCE = "kl_reverse"
"""The measure of how far an arm's law has moved from the baseline's."""
GRID = {
    "gridcolor": "var(--grid)",
    "linecolor": "var(--axis)",
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": "var(--axis)",
}


def palette(summary: Summary) -> dict[str, int]:
    """Arm -> number of its colour; the arms of one checkpoint share it, a temperature sweep being one story."""
    checkpoints = list(dict.fromkeys(arm.checkpoint for arm in summary.arms))
    return {arm.name: checkpoints.index(arm.checkpoint) % COLOURS for arm in summary.arms}


def shown(text: str) -> str:
    """Text that Plotly must show as it is, at a length that leaves room for the plot."""
    return html.escape(short(" ".join(text.split())), quote=False)


def measures(summary: Summary, role: effects.Role) -> list[str]:
    """Measures of that side of the trade, in the summary's order, in their plain form."""
    return [
        metric
        for metric, better in effects.betters(summary).items()
        if effects.role(metric, better) == role and effects.is_whole(metric)
    ]


def plottable(summary: Summary, role: effects.Role) -> list[str]:
    """Those of them that any arm has a number for."""
    known = {estimate.metric for estimate in summary.estimates if is_number(estimate.value)}
    return [metric for metric in measures(summary, role) if metric in known]


def frontier(summary: Summary, quality: str, diversity: str) -> Figure:
    """Every arm at its diversity (right is more) and quality (up is better)."""
    betters, found = effects.betters(summary), effects.estimates(summary)
    middle = _middle([found[diversity, arm.name] for arm in summary.arms if (diversity, arm.name) in found])
    data = []
    for checkpoint, arms in _sweeps(summary):
        points = [(arm, found.get((diversity, arm.name)), found.get((quality, arm.name))) for arm in arms]
        known = [(arm, x, y) for arm, x, y in points if x and y and is_number(x.value) and is_number(y.value)]
        if known:
            sides = _label_sides([x for _, x, _ in known], middle, betters[diversity])
            data.append(_path(checkpoint, known, palette(summary)) | {"textposition": sides})
    layout = page_layout(
        height=430,
        xaxis=_axis(diversity, betters[diversity], "more diverse"),
        yaxis=_axis(quality, betters[quality], "better"),
        annotations=[_corner("more diverse and better ↗")],
    )
    return {"data": data, "layout": layout}


def distance(summary: Summary, metric: str) -> Figure | None:
    """Every arm at its KL from the baseline (right is further) and its quality or diversity (up is more).

    None where no arm but the baseline has both numbers.
    """
    betters, found = effects.betters(summary), effects.estimates(summary)
    pairs = [(arm, found.get((DISTANCE, arm.name)), found.get((metric, arm.name))) for arm in summary.arms]
    known = [(arm, x, y) for arm, x, y in pairs if x and y and is_number(x.value) and is_number(y.value)]
    homes = {arm.baseline for arm in summary.arms}
    if all(arm.name in homes for arm, _, _ in known):
        return None
    known.sort(key=lambda point: point[1].value or 0.0)
    better = betters[metric]
    points = [
        _path(arm.checkpoint, [(arm, x, y)], palette(summary)) | {"textposition": side, "showlegend": False}
        for (arm, x, y), side in zip(known, _sides_of_a_line([(x, y) for _, x, y in known], better), strict=True)
    ]
    words = "better" if effects.role(metric, better) == "quality" else "more diverse"
    layout = page_layout(
        height=360,
        xaxis=GRID
        | {"title": {"text": f"{DISTANCE}, nats a completion (further from the baseline →)"}, "automargin": True},
        yaxis=_axis(metric, better, words),
    )
    return {"data": [*_ladders(known, homes), *points], "layout": layout}


def dots(summary: Summary, metric: str) -> Figure:
    """One measure, an arm a row."""
    found, colours = effects.estimates(summary), palette(summary)
    rows = [(arm.name, found[metric, arm.name]) for arm in summary.arms if (metric, arm.name) in found]
    known = [(arm, estimate) for arm, estimate in rows if is_number(estimate.value)]
    data = [
        _dot_trace(
            x=[estimate.value for _, estimate in known],
            y=[shown(arm) for arm, _ in known],
            error=_error([estimate for _, estimate in known]),
            colour=[themed_colour(colours[arm]) for arm, _ in known],
            text=[_estimate_hover(estimate) for _, estimate in known],
        )
    ]
    better = effects.betters(summary)[metric]
    axis = _axis(metric, better, "better" if effects.role(metric, better) == "quality" else "more diverse")
    return {"data": data, "layout": page_layout(height=110 + ROW * len(known), xaxis=axis, yaxis=_rows(known))}


def forest(summary: Summary, arm: str, baseline: str) -> Figure | None:
    """Standardised differences of one arm to its baseline, right is better, the largest gain on top."""
    betters, found = effects.betters(summary), effects.estimates(summary)
    rows = []
    for difference in summary.differences:
        better = betters.get(difference.metric, "neither")
        if (difference.arm, difference.baseline) != (arm, baseline) or better == "neither":
            continue
        if not effects.is_whole(difference.metric):
            continue
        effect = effects.effect(difference, found.get((difference.metric, baseline)))
        if effect:
            rows.append((difference, better, effects.towards_better(effect, better)))
    if not rows:
        return None
    rows.sort(key=lambda row: -row[2].value)
    data = [
        _dot_trace(
            x=[effect.value for _, _, effect in rows],
            y=[shown(label(difference.metric)) for difference, _, _ in rows],
            error=bars([(e.low, e.value, e.high) for _, _, e in rows]),
            colour=[f"var(--{effects.outcome(difference, better)})" for difference, better, _ in rows],
            text=[_difference_hover(difference, better) for difference, better, _ in rows],
        )
    ]
    return {"data": data, "layout": _forest_layout(rows)}


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
    return page_layout(height=130 + ROW * len(rows), xaxis=axis, yaxis=_rows(rows), shapes=[zero], annotations=sides)


def _side(text: str, x: float, anchor: str) -> Figure:
    font = {"color": "var(--muted)", "size": 12}
    place = {
        "x": x,
        "y": 1,
        "xref": "paper",
        "yref": "paper",
        "xanchor": anchor,
        "yanchor": "bottom",
        "showarrow": False,
    }
    return {"text": text, "font": font} | place


def _corner(text: str) -> Figure:
    return _side(text, 1, "right")


def _sweeps(summary: Summary) -> list[tuple[str, list[Arm]]]:
    """Checkpoint -> its arms by temperature."""
    arms = sorted(summary.arms, key=lambda arm: (palette(summary)[arm.name], arm.checkpoint, _temperature(arm)))
    return [(checkpoint, list(members)) for checkpoint, members in groupby(arms, key=lambda arm: arm.checkpoint)]


def _temperature(arm: Arm) -> float:
    return arm.sampling.temperature if arm.sampling else 0.0


def _path(checkpoint: str, points: Sequence[tuple[Arm, Estimate, Estimate]], colours: dict[str, int]) -> Figure:
    colour = colours[points[0][0].name]
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if len(points) > 1 else "markers+text",
        "name": shown(checkpoint),
        "x": [x.value for _, x, _ in points],
        "y": [y.value for _, _, y in points],
        "error_x": _error([x for _, x, _ in points]) | {"color": themed_colour(colour)},
        "error_y": _error([y for _, _, y in points]) | {"color": themed_colour(colour)},
        "text": [shown(arm.name) for arm, _, _ in points],
        "hovertext": [f"<b>{shown(a.name)}</b><br>{_estimate_hover(y)}<br>{_estimate_hover(x)}" for a, x, y in points],
        "hoverinfo": "text",
        "marker": {"color": themed_colour(colour), "size": 10, "symbol": SYMBOLS[colour]},
        "line": {"color": themed_colour(colour), "width": 1.5, "dash": "dot"},
        "cliponaxis": False,
    }


def _ladders(known: Sequence[tuple[Arm, Estimate, Estimate]], homes: set[str | None]) -> list[Figure]:
    """A line from the baseline over the arms whose checkpoints' names differ only in a number, nearest first."""
    rungs = sorted({_without_number(arm.checkpoint) for arm, _, _ in known if arm.name not in homes})
    lines = []
    for name in rungs:
        way = [(x, y) for arm, x, y in known if arm.name in homes or _without_number(arm.checkpoint) == name]
        lines.append({
            "type": "scatter",
            "mode": "lines",
            "x": [x.value for x, _ in way],
            "y": [y.value for _, y in way],
            "line": {"color": "var(--muted)", "width": 1.5, "dash": "dot"},
            "hoverinfo": "skip",
            "showlegend": False,
        })  # fmt: skip
    return lines


def _without_number(name: str) -> str:
    return re.sub(r"[-_.]?[0-9.]+$", "", name)


def _middle(estimates: Sequence[Estimate]) -> float:
    values = [estimate.value for estimate in estimates if is_number(estimate.value)]
    return (min(values) + max(values)) / 2 if values else 0.0


def _label_sides(estimates: Sequence[Estimate], middle: float, better: Better) -> list[str]:
    """Labels lean towards the middle of the plot, where they are not cut off, and clear of their own error bars."""
    right_half = [((e.value or 0.0) > middle) == (better == "higher") for e in estimates]
    return ["top left" if right else "top right" for right in right_half]


def _sides_of_a_line(points: Sequence[tuple[Estimate, Estimate]], better: Better) -> list[str]:
    """Labels lean towards the middle, and clear of the line that joins the points from left to right."""
    middle, steps = _middle([x for x, _ in points]), [(y.value or 0.0) for _, y in points]
    rises = (steps[-1] > steps[0]) == (better == "higher")
    left, right = ("bottom right", "top left") if rises else ("top right", "bottom left")
    return [right if (x.value or 0.0) > middle else left for x, _ in points]


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


def _estimate_hover(estimate: Estimate) -> str:
    return f"{shown(label(estimate.metric))} {value_text(estimate)}, {LEVEL} interval {interval_text(estimate)}"


def _difference_hover(difference: Difference, better: Better) -> str:
    words = f"{value_text(difference, signed=True)}, {LEVEL} interval {interval_text(difference)}"
    return f"{words}<br>Holm {p_text(difference.p_adjusted)}; {better} is better"


def themed_colour(number: int) -> str:
    """One of the page's `COLOURS` colours, by its number."""
    return f"var(--arm-{number})"


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
