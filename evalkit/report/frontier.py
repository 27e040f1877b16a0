"""Quality against diversity: every arm with both intervals, temperature paths, ladders, and the better corner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from evalkit.records import Arm, Better, Estimate, Summary
from evalkit.report import effects, placing
from evalkit.report.figures import (
    GRID,
    SYMBOLS,
    Figure,
    bars,
    estimate_hover,
    page_layout,
    palette,
    shown,
    themed_colour,
)
from evalkit.report.ladders import ladders
from evalkit.report.wording import is_number, label

HEIGHT = 460
_PLOT = (400.0, 340.0)
"""Pixels of the plot's inside for which labels are placed: between those of a wide and of a narrow screen. What keeps
clear here keeps clear where points lie further apart."""
_ROOM = 0.15
"""Share of an axis that stays free at either end, for labels."""
_BAR = 3.0
"""Pixels that the bar of an interval takes."""
Known = tuple[Arm, Estimate, Estimate]
"""An arm, its diversity, its quality."""


def frontier(summary: Summary, quality: str, diversity: str) -> Figure:
    """Every arm at its diversity (right is more) and quality (up is better)."""
    betters, found = effects.betters(summary), effects.estimates(summary)
    known = [
        (arm, found[diversity, arm.name], found[quality, arm.name])
        for arm in _by_checkpoint(summary)
        if _is_known(found.get((diversity, arm.name))) and _is_known(found.get((quality, arm.name)))
    ]
    across = _range([x for _, x, _ in known], betters[diversity])
    upwards = _range([y for _, _, y in known], betters[quality])
    sides = dict(zip([arm.name for arm, _, _ in known], _sides(known, across, upwards), strict=True))
    paths = [list(own) for _, own in groupby(known, key=lambda point: point[0].checkpoint)]
    layout = page_layout(
        height=HEIGHT,
        xaxis=_axis(diversity, "more diverse", across),
        yaxis=_axis(quality, "better", upwards),
        shapes=_corner(),
        annotations=[_corner_words()],
    )
    return {
        "data": [*_ladders(summary, known), *(_path(own, sides, palette(summary)) for own in paths)],
        "layout": layout,
    }


def _by_checkpoint(summary: Summary) -> list[Arm]:
    """A checkpoint's arms by temperature."""
    colours = palette(summary)
    return sorted(summary.arms, key=lambda arm: (colours[arm.name], arm.checkpoint, _temperature(arm)))


def _temperature(arm: Arm) -> float:
    return arm.sampling.temperature if arm.sampling else 0.0


def _is_known(estimate: Estimate | None) -> bool:
    return estimate is not None and is_number(estimate.value)


def _path(points: Sequence[Known], sides: Mapping[str, str], colours: Mapping[str, int]) -> Figure:
    colour = colours[points[0][0].name]
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if len(points) > 1 else "markers+text",
        "name": shown(points[0][0].checkpoint),
        "x": [x.value for _, x, _ in points],
        "y": [y.value for _, _, y in points],
        "error_x": _error([x for _, x, _ in points]) | {"color": themed_colour(colour)},
        "error_y": _error([y for _, _, y in points]) | {"color": themed_colour(colour)},
        "text": [_short(arm, _swept([arm for arm, _, _ in points])) for arm, _, _ in points],
        "textposition": [sides[arm.name] for arm, _, _ in points],
        "hovertext": [f"<b>{shown(a.name)}</b><br>{estimate_hover(y)}<br>{estimate_hover(x)}" for a, x, y in points],
        "hoverinfo": "text",
        "marker": {"color": themed_colour(colour), "size": 11, "symbol": SYMBOLS[colour]},
        "line": {"color": themed_colour(colour), "width": 1.5},
        "cliponaxis": False,
    }


def _swept(arms: Sequence[Arm]) -> set[str]:
    """Checkpoints with several arms."""
    names = [arm.checkpoint for arm in arms]
    return {name for name in names if names.count(name) > 1}


def _short(arm: Arm, swept: set[str]) -> str:
    """The arm's name; along a path, whose colour is the checkpoint's, without that of the checkpoint."""
    rest = arm.name.removeprefix(arm.checkpoint).strip() if arm.checkpoint in swept else ""
    return shown(rest or arm.name)


def _ladders(summary: Summary, known: Sequence[Known]) -> list[Figure]:
    """A dotted line from the baseline over each ladder's arms, in its order."""
    at = {arm.name: (x.value, y.value) for arm, x, y in known}
    lines = []
    for ladder in ladders(summary):
        way = [at[name] for name in (ladder.baseline, *ladder.rungs) if name in at]
        lines.append({
            "type": "scatter",
            "mode": "lines",
            "x": [x for x, _ in way],
            "y": [y for _, y in way],
            "line": {"color": "var(--muted)", "width": 1.5, "dash": "dot"},
            "hoverinfo": "skip",
            "showlegend": False,
        })  # fmt: skip
    return lines


def _range(estimates: Sequence[Estimate], better: Better) -> tuple[float, float]:
    """Ends of the axis, the worse one first, with room for labels."""
    numbers = [n for e in estimates for n in (e.low, e.value, e.high) if is_number(n)] or [0.0]
    low, high = min(numbers), max(numbers)
    room = (high - low) * _ROOM or abs(high) * _ROOM or 1.0
    return (high + room, low - room) if better == "lower" else (low - room, high + room)


def _sides(known: Sequence[Known], across: tuple[float, float], upwards: tuple[float, float]) -> list[str]:
    wide, high = _PLOT
    many, points = _swept([arm for arm, _, _ in known]), []
    for arm, x, y in known:
        x0, x1, x2 = (_pixel(n, x.value, across, wide) for n in (x.low, x.value, x.high))
        y0, y1, y2 = (_pixel(n, y.value, upwards, high) for n in (y.low, y.value, y.high))
        level = placing.Box(min(x0, x2), y1 - _BAR / 2, max(x0, x2), y1 + _BAR / 2)
        upright = placing.Box(x1 - _BAR / 2, min(y0, y2), x1 + _BAR / 2, max(y0, y2))
        points.append(placing.Point(x1, y1, _short(arm, many), (level, upright)))
    return placing.sides(points, wide, high)


def _pixel(number: float | None, value: float | None, ends: tuple[float, float], size: float) -> float:
    at = number if is_number(number) else value or 0.0
    return (at - ends[0]) / (ends[1] - ends[0]) * size


def _axis(metric: str, words: str, ends: tuple[float, float]) -> Figure:
    title = {"title": {"text": f"{shown(label(metric))} ({words} →)"}, "automargin": True}
    return GRID | title | {"range": list(ends)}


def _corner() -> list[Figure]:
    """Quarter discs in the upper right corner, darker towards it."""
    return [
        {
            "type": "path",
            "xref": "paper",
            "yref": "paper",
            "path": f"M {1 - r},1 C {1 - r},{1 - 0.55 * r} {1 - 0.55 * r},{1 - r} 1,{1 - r} L 1,1 Z",
            "fillcolor": "var(--gained)",
            "opacity": 0.07,
            "line": {"width": 0},
            "layer": "below",
        }
        for r in (0.16, 0.3, 0.44)
    ]


def _corner_words() -> Figure:
    return {
        "text": "better and more diverse ↗",
        "x": 1,
        "y": 1,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "right",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"color": "var(--gained)", "size": 13},
    }


def _error(estimates: Sequence[Estimate]) -> Figure:
    return bars([(estimate.low, estimate.value, estimate.high) for estimate in estimates])
