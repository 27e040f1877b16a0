"""Quality and diversity against KL from the baseline: there where it was measured, and nowhere else."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.metrics.summary import Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.plots.kl_tradeoff import kl_tradeoff
from tests.report.example import estimate, synthetic

MOVED = {"base": 0.0, "ppo-1": 0.5, "ppo-0.5": 1.4, "ppo-0.1": 6.0, "friends": 3.0}


@pytest.fixture(scope="module")
def plain() -> ReportContent:
    """A base, a ladder of three checkpoints in the order of a suite, and an arm that belongs to none."""
    tuned = [(name, "tuned", 1.0) for name in ("ppo-0.1", "ppo-0.5", "ppo-1", "friends")]
    content = synthetic([("base", "base", 1.0), *tuned], prompts=20)
    arms = tuple(dataclasses.replace(arm, checkpoint=arm.name) for arm in content.summary.arms)
    return dataclasses.replace(content, summary=dataclasses.replace(content.summary, arms=arms))


@pytest.fixture(scope="module")
def moved(plain: ReportContent) -> ReportContent:
    return dataclasses.replace(plain, summary=with_kl(plain.summary, MOVED))


def with_kl(summary: Summary, values: dict[str, float]) -> Summary:
    found = [
        estimate("kl_reverse", name, [value * (0.9 + 0.01 * place) for place in range(20)], "neither")
        for name, value in values.items()
    ]
    return dataclasses.replace(summary, estimates=(*summary.estimates, *found))


def test_every_arm_has_a_point_with_both_intervals(moved: ReportContent) -> None:
    from plotly.graph_objects import Figure

    figure = kl_tradeoff(moved.summary, "reward")
    assert figure is not None
    assert Figure(figure).data
    points = {trace["text"][0]: trace for trace in figure["data"] if trace["mode"] != "lines"}
    assert points.keys() == MOVED.keys()
    assert points["ppo-0.5"]["x"] == pytest.approx([1.4 * 0.995])
    assert points["ppo-0.5"]["error_x"]["array"][0] > 0
    assert points["ppo-0.5"]["error_y"]["array"][0] > 0
    assert points["base"]["x"] == [0.0]


def test_a_ladder_is_one_line_from_the_baseline_in_order_of_kl(moved: ReportContent) -> None:
    figure = kl_tradeoff(moved.summary, "vendi")
    assert figure is not None
    lines = [trace["x"] for trace in figure["data"] if trace["mode"] == "lines"]
    assert lines == [pytest.approx([0, 2.985]), pytest.approx([0, 0.4975, 1.393, 5.97])]  # friends, then ppo


def test_up_is_more_diverse_even_where_lower_is(moved: ReportContent) -> None:
    figure = kl_tradeoff(moved.summary, "self_bleu")
    assert figure is not None
    worse, better = figure["layout"]["yaxis"]["range"]
    assert worse > better


def test_the_page_has_both_figures_where_kl_was_measured(moved: ReportContent) -> None:
    page = build_report(moved)
    assert 'id="kl-quality-plot"' in page
    assert 'id="kl-diversity-plot"' in page
    assert "Gao et al. 2022" in page


def test_the_page_has_none_where_it_was_not(plain: ReportContent) -> None:
    page = build_report(plain)
    assert 'id="kl-tradeoff"' not in page
    assert "Gao et al. 2022" not in page


def test_a_baseline_alone_has_moved_nowhere(plain: ReportContent) -> None:
    assert kl_tradeoff(with_kl(plain.summary, {"base": 0.0}), "reward") is None
