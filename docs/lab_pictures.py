"""Three pictures in docs/images of the runs that `python -m bench.lab_figures` makes: `python -m docs.lab_pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import plotly.graph_objects as go

from bench.lab_figures import RUNS, TRIES, VOICES, coverage_points, exact_voices, heard_voices
from docs.screenshots import IMAGES, small
from evalkit.metrics.summary import Estimate
from evalkit.plumbing.arrays import nan_for_none
from evalkit.runs.summary import read_summary
from tests.browser import Browser

COLOURS = ("#56565b", "#e69f00", "#1f6f8b", "#b5443c", "#7b5aa6")


def main() -> None:
    pictures = {"coverage": coverage(), "voices": voices(), "quality": quality()}
    with tempfile.TemporaryDirectory() as scratch:
        browser = Browser(Path(scratch))
        try:
            for name, figure in pictures.items():
                save(browser, figure, IMAGES / f"{name}.png")
        finally:
            browser.quit()


def save(browser: Browser, figure: go.Figure, path: Path) -> None:
    figure.update_layout(template="plotly_white", width=760, height=400, margin={"l": 70, "r": 20, "t": 20, "b": 60})
    browser.open(figure.to_html(include_plotlyjs=True, config={"displayModeBar": False}), width=800)
    browser.until(lambda: browser.all(".main-svg"), "the chart")
    small(browser.one(".plot-container").screenshot_as_png).save(path, optimize=True)


def coverage() -> go.Figure:
    """Chance that one of k tries is right, riddles and facts."""
    figure = go.Figure()
    for (kind, arms), dash in zip(coverage_points().items(), ("solid", "dot"), strict=True):
        for (arm, found), colour in zip(arms.items(), COLOURS, strict=False):
            chances, line = [fmean(values) for values in found], {"color": colour, "dash": dash}
            figure.add_scatter(x=TRIES, y=chances, mode="lines+markers", name=f"{arm}, {kind}s", line=line)
    figure.update_xaxes(title="tries k", type="log", tickvals=TRIES)
    figure.update_yaxes(title="chance that one of k is right", rangemode="tozero")
    return figure


def voices() -> go.Figure:
    """Shares of voices with intervals, and what the grammar hears."""
    figure, exact, heard = go.Figure(), exact_voices(), heard_voices()
    arms = list(heard)
    for voice, colour in zip(VOICES, COLOURS[1:], strict=True):
        found = [next(one for one in heard[arm] if one["voice"] == voice) for arm in arms]
        spoken, low, high = ([one[part] for one in found] for part in ("spoken", "low", "high"))
        above, below = (np.abs(np.subtract(end, spoken)) for end in (high, low))
        error = {"array": above, "arrayminus": below, "thickness": 1}
        figure.add_bar(x=arms, y=spoken, name=voice, marker_color=colour, offsetgroup=voice, error_y=error)
        figure.add_scatter(
            x=arms, y=[exact[arm][voice] for arm in arms], mode="markers", offsetgroup=voice, name="exact",
            marker={"symbol": "diamond", "color": "black", "size": 9}, showlegend=voice == "poet",
        )  # fmt: skip
    figure.update_layout(scattermode="group")
    figure.update_yaxes(title="share of completions")
    return figure


def quality() -> go.Figure:
    """The reward of one group against the other's."""
    estimates = {(one.metric, one.arm): one for one in read_summary(RUNS / "voices" / "summary.json").estimates}
    figure = go.Figure()
    for arm in heard_voices():
        friends, scholars = (estimates[f"reward|model:lab:{name}", arm] for name in ("reward-friends", "reward"))
        figure.add_scatter(
            x=[friends.value], y=[scholars.value], mode="markers+text", text=[arm], textposition="top right",
            showlegend=False, marker={"color": COLOURS[0 if arm == "base" else 2], "size": 9},
            error_x=_bar(friends), error_y=_bar(scholars),
        )  # fmt: skip
    figure.update_xaxes(title="reward, model of the friends")
    figure.update_yaxes(title="reward, model of the scholars")
    return figure


def _bar(estimate: Estimate) -> dict[str, Any]:
    value, low, high = nan_for_none([estimate.value, estimate.low, estimate.high])
    return {"array": [high - value], "arrayminus": [value - low]}


if __name__ == "__main__":
    main()
