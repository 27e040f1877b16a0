"""Arms as points in a plane, each with both intervals and a label that keeps clear of what else is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from evalkit.records import Arm, Better, Estimate, Summary
from evalkit.report import effects, placing, signs
from evalkit.report.figures import Figure, bars, estimate_hover, shown
from evalkit.report.wording import is_number

_ROOM = 0.15
"""Share of an axis that stays free at either end, for labels."""
_BAR = 3.0
"""Pixels that the bar of an interval, or a line, takes."""
_STEP = 12.0
"""Pixels between the boxes that stand for a slanting line."""
Known = tuple[Arm, Estimate, Estimate]
"""An arm, and its two numbers: to the right, and upwards."""
Ends = tuple[float, float]
"""Of an axis, the worse or nearer one first."""
Size = tuple[float, float]
"""Pixels to the right and upwards."""


def path(points: Sequence[Known], sides: Mapping[str, str], numbers: Mapping[str, int]) -> Figure:
    """A checkpoint's arms, joined in their order."""
    number = numbers[points[0][0].name]
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if len(points) > 1 else "markers+text",
        "name": shown(points[0][0].checkpoint),
        "x": [x.value for _, x, _ in points],
        "y": [y.value for _, _, y in points],
        "error_x": _error([x for _, x, _ in points]) | {"color": signs.themed(number)},
        "error_y": _error([y for _, _, y in points]) | {"color": signs.themed(number)},
        "text": [_short(arm, _swept([arm for arm, _, _ in points])) for arm, _, _ in points],
        "textposition": [sides[arm.name] for arm, _, _ in points],
        "hovertext": [f"<b>{shown(a.name)}</b><br>{estimate_hover(y)}<br>{estimate_hover(x)}" for a, x, y in points],
        "hoverinfo": "text",
        "marker": {"color": signs.themed(number), "size": 11, "symbol": signs.symbol(number)},
        "line": {"color": signs.themed(number), "width": 1.5},
        "cliponaxis": False,
    }


def joined(names: Sequence[str], known: Sequence[Known]) -> Figure:
    """A dotted line over these arms."""
    at = {arm.name: (x.value, y.value) for arm, x, y in known}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at[name][0] for name in names],
        "y": [at[name][1] for name in names],
        "line": {"color": "var(--muted)", "width": 1.5, "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def both_known(summary: Summary, right: str, upwards: str, arms: Sequence[Arm]) -> list[Known]:
    """Those of the arms that have a number of both measures."""
    found = effects.estimates(summary)
    pairs = [(arm, found.get((right, arm.name)), found.get((upwards, arm.name))) for arm in arms]
    return [(arm, x, y) for arm, x, y in pairs if x and y and is_number(x.value) and is_number(y.value)]


def _swept(arms: Sequence[Arm]) -> set[str]:
    """Checkpoints with several arms."""
    names = [arm.checkpoint for arm in arms]
    return {name for name in names if names.count(name) > 1}


def _short(arm: Arm, swept: set[str]) -> str:
    """The arm's name; along a path, whose colour is the checkpoint's, without that of the checkpoint."""
    rest = arm.name.removeprefix(arm.checkpoint).strip() if arm.checkpoint in swept else ""
    return shown(rest or arm.name)


def reach(estimates: Sequence[Estimate], better: Better) -> Ends:
    """Ends of the axis, the worse one first, with room for labels."""
    numbers = [n for e in estimates for n in (e.low, e.value, e.high) if is_number(n)] or [0.0]
    low, high = min(numbers), max(numbers)
    room = (high - low) * _ROOM or abs(high) * _ROOM or 1.0
    return (high + room, low - room) if better == "lower" else (low - room, high + room)


def sides(
    known: Sequence[Known], across: Ends, upwards: Ends, lines: Sequence[Sequence[str]], size: Size
) -> dict[str, str]:
    """Arm -> where its label stands, in a plot whose inside has `size`; `lines`: the arms that each line joins.

    What keeps clear at one size keeps clear where points lie further apart.
    """
    wide, high = size
    many, points = _swept([arm for arm, _, _ in known]), []
    for arm, x, y in known:
        x0, x1, x2 = (_pixel(n, x.value, across, wide) for n in (x.low, x.value, x.high))
        y0, y1, y2 = (_pixel(n, y.value, upwards, high) for n in (y.low, y.value, y.high))
        level = placing.Box(min(x0, x2), y1 - _BAR / 2, max(x0, x2), y1 + _BAR / 2)
        upright = placing.Box(x1 - _BAR / 2, min(y0, y2), x1 + _BAR / 2, max(y0, y2))
        points.append(placing.Point(x1, y1, _short(arm, many), (level, upright)))
    at = {arm.name: (point.x, point.y) for (arm, _, _), point in zip(known, points, strict=True)}
    drawn = [box for line in lines for one, other in pairwise(line) for box in _along(at[one], at[other])]
    return dict(zip(at, placing.sides(points, wide, high, drawn), strict=True))


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[placing.Box]:
    """Small boxes on the way from one point to another."""
    right, up = end[0] - start[0], end[1] - start[1]
    count = max(1, round(max(abs(right), abs(up)) / _STEP))
    spots = [(start[0] + right * i / count, start[1] + up * i / count) for i in range(count + 1)]
    return [placing.Box(x - _BAR, y - _BAR, x + _BAR, y + _BAR) for x, y in spots]


def _pixel(number: float | None, value: float | None, ends: Ends, size: float) -> float:
    at = number if is_number(number) else value or 0.0
    return (at - ends[0]) / (ends[1] - ends[0]) * size


def _error(estimates: Sequence[Estimate]) -> Figure:
    return bars([(estimate.low, estimate.value, estimate.high) for estimate in estimates])
