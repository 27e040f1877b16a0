"""A dot plot of groups, each with a dot for every arm: to see what differs between arms, and what between groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.report.plots import figures, markers

HEAD, LANE, GAP = 96, 17, 20
"""Pixels: legend and axis together, an arm's line within a group, and the room between two groups."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One arm's value in one group."""

    low: float | None
    value: float
    high: float | None
    hover: str
    """Without the names of arm and group; may hold Plotly's markup."""
    is_clear: bool = True
    """A hollow dot says that there is nothing to be seen for certain."""


@dataclass(frozen=True, slots=True)
class Series:
    """One arm."""

    name: str
    number: int
    symbol: str
    dots: tuple[Dot | None, ...]
    """One a group; None where nothing is known."""


def grouped_dots(groups: Sequence[str], series: Sequence[Series], axis: figures.Figure) -> figures.Figure:
    """Groups from top to bottom, the arms of each in the same order from top to bottom. `axis`: what goes right."""
    height = LANE * len(series) + GAP
    rows = {
        "tickmode": "array",
        "tickvals": list(range(len(groups))),
        "ticktext": [figures.shown(group) for group in groups],
        "range": [len(groups) - 0.5, -0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }
    return {
        "data": [_trace(groups, arm, (index - (len(series) - 1) / 2) * LANE / height)
                 for index, arm in enumerate(series)],
        "layout": figures.page_layout(
            height=HEAD + height * len(groups),
            xaxis=figures.GRID | {"automargin": True} | axis,
            yaxis=rows,
            shapes=[_rule(index - 0.5) for index in range(1, len(groups))],
            legend=figures.LEGEND_ABOVE,
        ),
    }  # fmt: skip


def upright(x: float) -> figures.Figure:
    """A line through all groups."""
    line = {"color": "var(--ink)", "width": 1}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _trace(groups: Sequence[str], series: Series, offset: float) -> figures.Figure:
    known = [(index, dot) for index, dot in enumerate(series.dots) if dot]
    colour = markers.themed(series.number)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": figures.shown(series.name),
        "x": [dot.value for _, dot in known],
        "y": [index + offset for index, _ in known],
        "error_x": figures.bars([(dot.low, dot.value, dot.high) for _, dot in known]) | {"color": colour},
        "hovertext": [
            f"<b>{figures.shown(series.name)}</b>, {figures.shown(groups[index])}<br>{dot.hover}"
            for index, dot in known
        ],
        "hoverinfo": "text",
        "marker": {
            "color": colour,
            "size": 9,
            "symbol": [series.symbol if dot.is_clear else f"{series.symbol}-open" for _, dot in known],
        },
        "cliponaxis": False,
    }


def _rule(y: float) -> figures.Figure:
    line = {"color": "var(--grid)", "width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, "layer": "below"}
