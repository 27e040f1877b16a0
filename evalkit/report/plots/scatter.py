"""Arms as points in a plane, each with both intervals and its name."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis import effects
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.records import Arm, Better
from evalkit.report.plots import markers
from evalkit.report.plots.figures import Figure, bars, estimate_hover, shown

_ROOM = 0.15
"""Share of an axis that stays free at either end, for labels."""
Known = tuple[Arm, Estimate, Estimate]
"""An arm, and its two numbers: to the right, and upwards."""
Ends = tuple[float, float]
"""Of an axis, the worse or nearer one first."""


def path(points: Sequence[Known], number: int) -> Figure:
    """A checkpoint's arms, joined in their order, with the marker of its `number`."""
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if len(points) > 1 else "markers+text",
        "name": shown(points[0][0].checkpoint),
        "x": [x.value for _, x, _ in points],
        "y": [y.value for _, _, y in points],
        "error_x": _error([x for _, x, _ in points]) | {"color": markers.themed(number)},
        "error_y": _error([y for _, _, y in points]) | {"color": markers.themed(number)},
        "text": [shown(arm.name) for arm, _, _ in points],
        # names.js moves each to where it covers least.
        "textposition": "top right",
        "hovertext": [f"<b>{shown(a.name)}</b><br>{estimate_hover(y)}<br>{estimate_hover(x)}" for a, x, y in points],
        "hoverinfo": "text",
        "marker": {"color": markers.themed(number), "size": 11, "symbol": markers.symbol(number)},
        "line": {"color": markers.themed(number), "width": 1.5},
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
    estimates = effects.estimates(summary)
    pairs = [(arm, estimates.get((right, arm.name)), estimates.get((upwards, arm.name))) for arm in arms]
    return [(arm, x, y) for arm, x, y in pairs if x and y and is_number(x.value) and is_number(y.value)]


def reach(estimates: Sequence[Estimate], better: Better) -> Ends:
    """Ends of the axis, the worse one first, with room for labels."""
    numbers = [n for e in estimates for n in (e.low, e.value, e.high) if is_number(n)] or [0.0]
    low, high = min(numbers), max(numbers)
    room = (high - low) * _ROOM or abs(high) * _ROOM or 1.0
    return (high + room, low - room) if better == "lower" else (low - room, high + room)


def _error(estimates: Sequence[Estimate]) -> Figure:
    return bars([(estimate.low, estimate.value, estimate.high) for estimate in estimates])
