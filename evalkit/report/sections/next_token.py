"""The next-token distribution as figures: how chances fall with rank, and how many tokens are open along an answer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis.figure_data import Shape
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import listed
from evalkit.report.plots import figures, markers
from evalkit.report.sections import curves
from evalkit.report.wording import LEVEL, MISSING

DIGITS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class NextTokenView:
    """What the section prints."""

    says: str
    ranks: curves.CurveTable | None
    along: curves.CurveTable | None


def next_token_view(summary: Summary, shapes: Sequence[Shape]) -> NextTokenView | None:
    """None where neither was measured."""
    ranks, positions = _rank_table(shapes), _along_table(summary)
    return NextTokenView(_sentence(shapes), ranks, positions) if ranks or positions else None


def by_rank(summary: Summary, shapes: Sequence[Shape]) -> figures.Figure | None:
    """Rank to the right, probability upwards, both on a log scale; a line an arm, in a band that is its interval."""
    known = [shape for shape in shapes if any(is_number(value) for value in shape.values)]
    if not known:
        return None
    lowest = min(value for shape in known for value in shape.values if is_number(value) and value > 0) / 3
    numbers = markers.numbers(summary)
    ranks = known[0].ranks
    x = figures.GRID | {
        "type": "log",
        "title": {"text": "rank of the next token"},
        "tickmode": "array",
        "tickvals": list(ranks),
        "ticktext": [str(rank) if index % 2 == 0 else "" for index, rank in enumerate(ranks)],
        "automargin": True,
    }
    y = figures.GRID | {
        "type": "log",
        "title": {"text": "probability"},
        "range": [math.log10(lowest), 0.05],
        "dtick": 1,
        "exponentformat": "power",
        "tickfont": {"size": 10},  # which Plotly makes larger on a log axis
        "automargin": True,
    }
    bands = [_band(shape, numbers[shape.arm], lowest) for shape in known]
    lines = [_line(shape, numbers[shape.arm]) for shape in known]
    layout = figures.page_layout(height=400, xaxis=x, yaxis=y, legend=figures.LEGEND_ABOVE)
    return {"data": [*bands, *lines], "layout": layout}


def along(summary: Summary) -> figures.Figure | None:
    """How many next tokens are open at each token of the answer; None where it was not measured."""
    branching = curves.curve_figures(_along(summary))
    return branching[0] | {"layout": branching[0]["layout"] | {"legend": figures.LEGEND_ABOVE}} if branching else None


def _rank_table(shapes: Sequence[Shape]) -> curves.CurveTable | None:
    if not shapes:
        return None
    return curves.CurveTable(
        title="Probability by rank",
        meaning="",
        signature="",
        over="rank",
        ks=shapes[0].ranks,
        rows=tuple((shape.arm, tuple(_cells(shape))) for shape in shapes),
        crossings=(),
    )


def _along_table(summary: Summary) -> curves.CurveTable | None:
    branching = curves.curve_tables(_along(summary))
    return branching[0] if branching else None


def _sentence(shapes: Sequence[Shape]) -> str:
    """What the first rank says: how much is left to chance at an average token."""
    firsts = [f"{100 * value:.3g}\u00a0% in {shape.arm}" for shape in shapes if is_number(value := shape.values[0])]
    return f"At an average place the likeliest token has {listed(firsts)}." if firsts else ""


def probability(value: float | None) -> str:
    """`0.0944`, and `2.7 × 10⁻⁸` where zeros would have to be counted."""
    if not is_number(value):
        return MISSING
    if value >= 0.001 or value <= 0:
        return f"{value:.3g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(exponent)).translate(DIGITS)}"


def _along(summary: Summary) -> Summary:
    return dataclasses.replace(summary, curves=tuple(curve for curve in summary.curves if curve.name in curves.OVER))


def _cells(shape: Shape) -> list[tuple[str, str]]:
    return [
        (
            probability(value),
            f"{probability(low)} to {probability(high)}" if is_number(low) and is_number(high) else "",
        )
        for value, low, high in zip(shape.values, shape.lows, shape.highs, strict=True)
    ]


def _line(shape: Shape, number: int) -> figures.Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": figures.shown(shape.arm),
        "x": list(shape.ranks),
        "y": list(shape.values),
        "hovertext": [
            f"<b>{figures.shown(shape.arm)}</b>, rank {rank}<br>{value}, {LEVEL} interval {interval}"
            for rank, (value, interval) in zip(shape.ranks, _cells(shape), strict=True)
        ],
        "hoverinfo": "text",
        "marker": {"color": markers.themed(number), "size": 7, "symbol": markers.symbol(number)},
        "line": {"color": markers.themed(number), "width": 1.5},
    }


def _band(shape: Shape, number: int, lowest: float) -> figures.Figure:
    """From the interval's low end there and from its high end back; a log axis has no place for an end at 0."""
    ends = [
        (rank, max(low, lowest), high)
        for rank, low, high in zip(shape.ranks, shape.lows, shape.highs, strict=True)
        if is_number(low) and is_number(high)
    ]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [rank for rank, _, _ in ends] + [rank for rank, _, _ in ends[::-1]],
        "y": [low for _, low, _ in ends] + [high for _, _, high in ends[::-1]],
        "fill": "toself",
        "fillcolor": markers.themed(number),
        "line": {"width": 0},
        "opacity": 0.2,
        "hoverinfo": "skip",
        "showlegend": False,
    }
