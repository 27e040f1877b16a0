"""Opinions as figures: each arm's distance to each group, with an arrow from its baseline; one question's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.metrics.summary import Summary
from evalkit.plumbing.prose import short
from evalkit.report.content.opinions import OpinionQuestion, Shares
from evalkit.report.plots import figures, markers
from evalkit.report.plots.grouped_dots import GAP, LANE, Dot, Series, grouped_dots
from evalkit.report.plots.target_choices import exact_percent as exact_percent
from evalkit.report.plots.target_choices import whole_percent as whole_percent
from evalkit.report.verdicts.opinions import GroupDistance, called
from evalkit.report.wording import interval_words, p_text, value_text

BAR, BAND, FEET, HEAD = 15, 12, 56, 20
"""Pixels: one line of one choice, the room between two choices, the axis, and the names above."""
LONGEST = 22


def moves(summary: Summary, distances: Mapping[str, Sequence[GroupDistance]]) -> figures.Figure:
    """A group a band, an arm a dot in it with its interval, and an arrow from where the arm's baseline is."""
    groups = list(dict.fromkeys(each.group for of in distances.values() for each in of))
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    by_arm = {arm: {each.group: each for each in of} for arm, of in distances.items() if of}
    series = [
        Series(arm, numbers[arm], symbols[arm], tuple(_dot(of.get(group)) for group in groups))
        for arm, of in by_arm.items()
    ]
    figure = grouped_dots(
        [called(group) for group in groups],
        series,
        {"title": {"text": "distance<br>(← nearer)"}, "rangemode": "tozero"},
    )
    height = LANE * len(series) + GAP
    figure["layout"]["annotations"] = [
        _arrow(each, row + (lane - (len(series) - 1) / 2) * LANE / height, numbers[arm])
        for lane, (arm, of) in enumerate(by_arm.items())
        for row, group in enumerate(groups)
        if (each := of.get(group)) and each.baseline is not None and each.difference is not None
    ]
    return figure


def _dot(distance: GroupDistance | None) -> Dot | None:
    value = None if distance is None else distance.estimate.value
    if distance is None or value is None:
        return None
    estimate, change = distance.estimate, distance.difference
    words = f"{value_text(estimate)}, {interval_words(estimate)}"
    if change is not None:
        words += f"<br>change {value_text(change, signed=True)}, {interval_words(change)}"
        words += f"<br>Holm {p_text(change.p_adjusted)}"
    is_clear = change is None or bool(distance.moved)
    return Dot(estimate.low, value, estimate.high, words, is_clear)


def _arrow(distance: GroupDistance, y: float, number: int) -> figures.Figure:
    """From the baseline's distance to the arm's, on the arm's line."""
    assert distance.baseline is not None
    return {
        "x": distance.estimate.value,
        "y": y,
        "ax": distance.baseline.value,
        "ay": y,
        "xref": "x",
        "yref": "y",
        "axref": "x",
        "ayref": "y",
        "showarrow": True,
        "arrowhead": 2,
        "arrowsize": 1,
        "arrowwidth": 2,
        "arrowcolor": markers.themed(number),
        "standoff": 5,
        "text": "",
    }


def bars(question: OpinionQuestion, numbers: Mapping[str, int]) -> figures.Figure:
    """A choice a band: in it a bar for each arm, and below these a thin one for each group of people."""
    rows: list[tuple[Shares, int | None]] = [(arm, numbers[arm.name]) for arm in question.arms]
    rows += [(group, None) for group in question.groups]
    band = BAR * len(rows) + BAND
    reach = max((share for shares, _ in rows for share in shares.shares), default=1.0)
    choices = question.opinion.choices
    heights = [
        [choice + (BAND / 2 + BAR * (row + 0.5)) / band - 0.5 for choice in range(len(choices))]
        for row in range(len(rows))
    ]
    data = [_bar(shares, number, heights[row], BAR / band, choices) for row, (shares, number) in enumerate(rows)]
    data += [_names(shares, heights[row]) for row, (shares, _) in enumerate(rows)]
    layout = figures.page_layout(
        height=HEAD + FEET + band * len(choices),
        barmode="overlay",
        xaxis=figures.GRID
        | {
            "range": [0, 2 * reach],
            "tickformat": ".0%",
            "nticks": 5,
            "automargin": True,
            "title": {"text": "share of answers"},
        },
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(choices))),
            "ticktext": [figures.shown(short(choice, LONGEST)) for choice in choices],
            "range": [len(choices) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return {"data": data, "layout": layout}


def _bar(
    shares: Shares, number: int | None, heights: Sequence[float], width: float, choices: Sequence[str]
) -> figures.Figure:
    """Full where exact, hollow where counted; groups of people in grey."""
    colour = "var(--axis)" if number is None else markers.themed(number)
    source = "people" if number is None else "exact" if shares.is_exact else f"of {shares.draws} completions"
    return {
        "type": "bar",
        "orientation": "h",
        "x": [round(share, 6) for share in shares.shares],
        "y": list(heights),
        "width": width * (0.45 if number is None else 0.8),
        "hovertext": [
            f"<b>{figures.shown(shares.name)}</b>: {figures.shown(choice)}<br>{exact_percent(share)}, {source}"
            for choice, share in zip(choices, shares.shares, strict=True)
        ],
        "hoverinfo": "text",
        "marker": {
            "color": colour if shares.is_exact else "rgba(0,0,0,0)",
            "line": {"color": colour, "width": 1.5 if number is not None else 0},
        },
        "showlegend": False,
    }


def _names(shares: Shares, heights: Sequence[float]) -> figures.Figure:
    return {
        "type": "scatter",
        "mode": "text",
        "meta": "one line",
        "x": [round(share, 6) for share in shares.shares],
        "y": list(heights),
        "text": [
            f"\u2002{whole_percent(share)} {figures.shown(short(shares.name, LONGEST))}" for share in shares.shares
        ],
        "textposition": "middle right",
        "textfont": {"size": 11},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }
