"""Bars of words: to the right what is said more, with ticks that a reader understands."""

from __future__ import annotations

import math

import pytest

from evalkit.metrics.word_use import WordChange, WordShift
from evalkit.report.plots.words import LONGEST, times_text, word_bars


def change(*log_odds: float, phrase: str = "delve") -> WordChange:
    shifts = [WordShift(phrase, value, math.copysign(4, value), 0, 0, 2, 0.1, 38, 4) for value in log_odds]
    gained = tuple(shift for shift in shifts if shift.z > 0)
    return WordChange("tuned", "base", 60, 9, 9, 50, 8, 9, gained, tuple(shift for shift in shifts if shift.z < 0))


def test_more_is_right_in_the_arms_colour_and_less_is_left_in_the_baselines() -> None:
    figure = word_bars(change(1.0, -2.0), 1, 0)
    assert figure is not None
    [trace] = figure["data"]
    assert trace["x"] == [1.0, -2.0]
    assert trace["marker"]["color"] == ["var(--arm-1)", "var(--arm-0)"]
    assert trace["text"] == ["38 · 4", "38 · 4"]
    assert "on 38 of 60 prompts" in trace["hovertext"][0]


@pytest.mark.parametrize(
    ("log_odds", "ticks"),
    [
        (0.3, ["as often"]),
        (1.1, ["÷4", "÷2", "as often", "×2", "×4"]),
        (2.0, ["÷16", "÷4", "as often", "×4", "×16"]),
        (5.0, ["÷100", "÷10", "as often", "×10", "×100"]),
    ],
)
def test_ticks_are_times_and_lie_where_they_say(log_odds: float, ticks: list[str]) -> None:
    figure = word_bars(change(log_odds), 1, 0)
    assert figure is not None
    axis = figure["layout"]["xaxis"]
    assert axis["ticktext"] == ticks
    for place, text in zip(axis["tickvals"], ticks, strict=True):
        if text != "as often":
            assert math.exp(abs(place)) == pytest.approx(float(text[1:]))
            assert (place > 0) == (text[0] == "×")
    assert axis["range"][1] > log_odds


def test_long_phrases_are_cut_and_markup_is_text() -> None:
    figure = word_bars(change(1.0, phrase="<b>" + "x" * 90), 1, 0)
    assert figure is not None
    [name] = figure["layout"]["yaxis"]["ticktext"]
    assert name.startswith("&lt;b&gt;")
    assert len(name) <= LONGEST + 6
    assert "<b>x" not in figure["data"][0]["hovertext"][0]


def test_times_in_words() -> None:
    assert times_text(math.log(2.44)) == "with the prior 2.4 times as often"
    assert times_text(-math.log(12.3)) == "with the prior 12 times less often"


def test_nothing_moved_is_no_figure() -> None:
    assert word_bars(change(), 1, 0) is None
