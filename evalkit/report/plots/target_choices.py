"""Choices against their target distribution as figures: all prompts of one arm as points, and one prompt's bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.plumbing.prose import short
from evalkit.report.content.target_choices import ArmShares, TargetPrompt, of_arm
from evalkit.report.plots import figures, markers

BAR, LOW_BAR, GAP, FEET = 19, 15, 14, 70
"""Pixels: an arm's bar, one where choices are many, the room between two choices, and the axis."""
FEW = 4
SIDE = 215
"""Height of the square of one arm."""
NEAR = 0.36
"""Of the longest bar: a mark so little beyond a bar's end would run through the bar's label on a narrow screen."""
UNIT = "\u00a0%"
EN = "\u2002"
"""An en space, between a bar's end, or a mark on it, and its label."""


def whole_percent(share: float) -> str:
    """Whole percents, and never all or nothing where it is not."""
    if 0 < share < 0.005:
        return f"under 1{UNIT}"
    return f"over 99{UNIT}" if 0.995 <= share < 1 else f"{100 * share:.0f}{UNIT}"


def exact_percent(share: float) -> str:
    """Percents to three digits."""
    return f"< 0.001{UNIT}" if 0 < share < 0.00001 else f"{100 * share:.3g}{UNIT}"


def square(prompts: Sequence[TargetPrompt], arm: str, number: int) -> figures.Figure:
    """A point a choice of every prompt: target to the right, the arm's share upwards; hollow where it was counted."""
    points = [
        (prompt.prompt.id, choice, target, shares)
        for prompt, shares in of_arm(prompts, arm)
        for choice, target in prompt.target.items()
    ]
    symbol = markers.symbol(number)
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [target for _, _, target, _ in points],
        "y": [round(shares.shares[choice], 6) for _, choice, _, shares in points],
        "text": [figures.shown(f"{prompt}: {choice}") for prompt, choice, _, _ in points],
        "hovertemplate": "<b>%{text}</b><br>asked for %{x:.3p}, given %{y:.3p}<extra></extra>",
        "marker": {
            "color": markers.themed(number),
            "size": 8,
            "opacity": 0.7,
            "symbol": [symbol if shares.is_exact else f"{symbol}-open" for *_, shares in points],
        },
        "showlegend": False,
    }
    layout = figures.page_layout(
        height=SIDE,
        xaxis=_share_axis("asked for"),
        yaxis=_share_axis("given"),
        shapes=[_diagonal()],
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
    )
    return {"data": [trace], "layout": layout}


def _share_axis(title: str) -> figures.Figure:
    return figures.GRID | {
        "range": [-0.04, 1.04],
        "tickformat": ".0%",
        "dtick": 0.5,
        "automargin": True,
        "tickfont": {"size": 11},
        "title": {"text": title, "font": {"size": 12}},
    }


def _diagonal() -> figures.Figure:
    """Where a choice is given as often as was asked for."""
    line = {"color": "var(--ink)", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": line, "layer": "below"}


@dataclass(frozen=True, slots=True)
class _Bands:
    """Where the bars of one prompt are drawn: a choice a band, an arm a bar in it."""

    bar: int
    """Pixels of a bar with the room to the next one."""
    arms: int
    reach: float
    """The largest probability that is drawn."""

    @property
    def band(self) -> int:
        """Pixels of a band with the room to the next one."""
        return self.bar * self.arms + GAP

    def height(self, row: int, arm: int) -> float:
        """Of an arm's bar, in bands from the middle of the first."""
        return row + (GAP / 2 + self.bar * (arm + 0.5)) / self.band - 0.5


def _bands(prompt: TargetPrompt) -> _Bands:
    reach = max(*prompt.target.values(), *(share for arm in prompt.arms for share in arm.shares.values()))
    return _Bands(BAR if len(prompt.target) <= FEW else LOW_BAR, len(prompt.arms), reach)


def bars(prompt: TargetPrompt, numbers: Mapping[str, int]) -> figures.Figure:
    """A choice a band, an arm a bar with its name; a line across the band is the target.

    `numbers`: arm -> the number of its checkpoint, by which it has its colour.
    """
    bands = _bands(prompt)
    traces = [_bar(prompt, shares, arm, bands, numbers[shares.arm]) for arm, shares in enumerate(prompt.arms)]
    names = [_names(prompt, shares, arm, bands) for arm, shares in enumerate(prompt.arms)]
    layout = figures.page_layout(
        height=FEET + bands.band * len(prompt.target),
        barmode="overlay",
        xaxis=_probability_axis(bands.reach),
        yaxis=_choice_axis(list(prompt.target)),
        shapes=[_mark(row, target, 0.5 - GAP / bands.band / 4) for row, target in enumerate(prompt.target.values())],
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return {"data": [*traces, *names], "layout": layout}


def _probability_axis(reach: float) -> figures.Figure:
    return figures.GRID | {
        "range": [0, 1.3 * reach],
        "tickvals": _ticks(reach),
        "tickformat": ".0%",
        "title": {"text": "probability"},
        "automargin": True,
    }


def _choice_axis(choices: Sequence[str]) -> figures.Figure:
    return {
        "tickmode": "array",
        "tickvals": list(range(len(choices))),
        "ticktext": [figures.shown(short(choice, 24)) for choice in choices],
        "range": [len(choices) - 0.5, -0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }


def _ticks(reach: float) -> list[float]:
    """A few round probabilities up to the largest one that is drawn."""
    step = 0.25 if reach > 0.5 else 0.1 if reach > 0.2 else 0.05
    return [round(step * tick, 2) for tick in range(math.ceil(reach / step) + 1) if step * tick <= 1]


def _names(prompt: TargetPrompt, shares: ArmShares, arm: int, bands: _Bands) -> figures.Figure:
    """Behind each bar its arm and share, and behind the mark too where that is near."""
    ends = [(shares.shares[choice], target) for choice, target in prompt.target.items()]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [round(max(share, target) if target - share < NEAR * bands.reach else share, 6) for share, target in ends],
        "y": [bands.height(row, arm) for row in range(len(ends))],
        "text": [f"{EN}{figures.shown(short(shares.arm, 20))} {whole_percent(share)}" for share, _ in ends],
        "textposition": "middle right",
        "textfont": {"size": 11},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _bar(prompt: TargetPrompt, shares: ArmShares, arm: int, bands: _Bands, number: int) -> figures.Figure:
    by_choice = [(choice, shares.shares[choice]) for choice in prompt.target]
    source = "exact" if shares.is_exact else f"of {shares.draws} completions"
    return {
        "type": "bar",
        "orientation": "h",
        "x": [round(share, 6) for _, share in by_choice],
        "y": [bands.height(row, arm) for row in range(len(by_choice))],
        "width": (bands.bar - 4) / bands.band,
        "hovertext": [
            f"<b>{figures.shown(shares.arm)}</b>: {figures.shown(choice)}<br>{exact_percent(share)}, {source}"
            for choice, share in by_choice
        ],
        "hoverinfo": "text",
        "marker": {
            "color": markers.themed(number) if shares.is_exact else "rgba(0,0,0,0)",
            "line": {"color": markers.themed(number), "width": 1.5},
        },
        "showlegend": False,
    }


def _mark(row: int, target: float, half: float) -> figures.Figure:
    line = {"color": "var(--ink)", "width": 2, "dash": "dot"}
    return {"type": "line", "x0": target, "x1": target, "y0": row - half, "y1": row + half, "line": line}
