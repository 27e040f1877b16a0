"""Plots that Plotly accepts, with the good direction where the page says it is."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.analysis import effects
from evalkit.metrics.summary import Estimate
from evalkit.records import Arm
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import figures, frontier
from tests.report.example import difference, estimate


def test_plotly_accepts_every_figure(sweep: ReportContent) -> None:
    from plotly.graph_objects import Figure

    summary = sweep.summary
    for figure in (
        frontier.frontier(summary, "reward", "self_bleu"),
        figures.dots(summary, "vendi"),
        figures.forest(summary, "tuned T=1", "base"),
    ):
        assert figure is not None
        assert Figure(figure).data


def test_right_is_more_diverse_even_where_lower_is(sweep: ReportContent) -> None:
    left, right = frontier.frontier(sweep.summary, "reward", "self_bleu")["layout"]["xaxis"]["range"]
    assert left > right
    left, right = frontier.frontier(sweep.summary, "reward", "vendi")["layout"]["xaxis"]["range"]
    assert left < right


def test_a_temperature_sweep_is_one_path_in_order(sweep: ReportContent) -> None:
    base, tuned = frontier.frontier(sweep.summary, "reward", "vendi")["data"]
    assert base["mode"] == "markers+text"
    assert tuned["text"] == ["tuned T=0.5", "tuned T=0.7", "tuned T=1", "tuned T=1.3"]
    assert "lines" in tuned["mode"]


def test_names_cannot_be_markup_in_a_plot(two_arms: ReportContent) -> None:
    hostile = '<a href="javascript:alert(1)">x</a>'
    arms = tuple(dataclasses.replace(arm, checkpoint=hostile) for arm in two_arms.summary.arms)
    figure = frontier.frontier(dataclasses.replace(two_arms.summary, arms=arms), "reward", "vendi")
    assert figure["data"][0]["name"].startswith("&lt;a")


def test_the_forest_is_sorted_and_turned_towards_better(two_arms: ReportContent) -> None:
    figure = figures.forest(two_arms.summary, "tuned", "base")
    assert figure is not None
    trace, ticks = figure["data"][0], figure["layout"]["yaxis"]["ticktext"]
    assert trace["x"] == sorted(trace["x"], reverse=True)
    assert trace["x"][ticks.index("self_bleu")] < 0 < trace["x"][ticks.index("reward")]
    assert "length" not in ticks


def test_the_forest_tells_clear_from_unclear_without_colour(two_arms: ReportContent) -> None:
    figure = figures.forest(two_arms.summary, "tuned", "base")
    assert figure is not None
    symbols = dict(zip(figure["layout"]["yaxis"]["ticktext"], figure["data"][0]["marker"]["symbol"], strict=True))
    assert symbols["reward"] == "triangle-right"
    assert symbols["self_bleu"] == "triangle-left"
    assert symbols["accuracy"] == "circle-open"


def test_texts_made_elsewhere_have_no_temperature(two_arms: ReportContent) -> None:
    arms = tuple(Arm(arm.name, arm.checkpoint, None, None, arm.baseline) for arm in two_arms.summary.arms)
    assert frontier.frontier(dataclasses.replace(two_arms.summary, arms=arms), "reward", "vendi")["data"]


def effect_case(values: list[float | None], shift: float) -> tuple[Estimate, Estimate]:
    moved = [None if value is None else value + shift * (1 + 0.1 * place) for place, value in enumerate(values)]
    return estimate("vendi", "tuned", moved, "higher"), estimate("vendi", "base", values, "higher")


def test_an_effect_is_in_standard_deviations_of_the_baseline() -> None:
    tuned, base = effect_case([1.0, 2.0, 3.0], 2.0)
    found = effects.effect(difference(tuned, base, 1), base)
    assert found is not None
    assert found.value == pytest.approx(2.2)


def test_a_flat_baseline_has_no_effect_size() -> None:
    tuned, base = effect_case([1.0, 1.0, 1.0], 2.0)
    assert effects.effect(difference(tuned, base, 1), base) is None


def test_turning_an_effect_swaps_its_bounds() -> None:
    assert effects.towards_better(effects.Effect(1.0, 0.5, 2.0), "lower") == effects.Effect(-1.0, -2.0, -0.5)
