"""What each group of raters gained or lost: there where two rewards were measured."""

from __future__ import annotations

import dataclasses
import statistics

import pytest

from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections import raters
from evalkit.report.verdicts.rater_groups import rater_groups
from tests.report.page_sections import REWARDS, everything


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return everything()


def test_gains_are_in_standard_deviations_of_the_baseline(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    figure = raters.gains(content.summary)
    assert figure is not None
    assert Figure(figure).data
    [tuned] = figure["data"]  # the baseline is what all are compared with
    spread = statistics.stdev([0.0, 2.0])
    assert tuned["x"] == pytest.approx([3.1 / spread, -2.05 / spread])
    assert figure["layout"]["yaxis"]["ticktext"] == ["lab:reward", "lab:reward-friends"]


def test_what_is_not_clear_is_hollow(content: ReportContent) -> None:
    unsure = tuple(
        dataclasses.replace(difference, p_adjusted=0.5) if difference.metric == REWARDS[1] else difference
        for difference in content.summary.differences
    )
    figure = raters.gains(dataclasses.replace(content.summary, differences=unsure))
    assert figure is not None
    assert figure["data"][0]["marker"]["symbol"] == ["square", "square-open"]


def test_an_arm_that_pleases_some_and_not_others_is_told_in_words(content: ReportContent) -> None:
    told = raters.raters(content.summary)
    assert told is not None
    [sentence] = told.says
    assert sentence.startswith("tuned gained 2.19 standard deviations (95 % interval +")
    assert "for the raters of lab:reward and lost 1.45 standard deviations" in sentence


def test_the_page_has_figure_and_table(content: ReportContent) -> None:
    page = build_report(content)
    assert 'id="raters-plot"' in page
    assert "<td>+2.19</td>" in page
    assert "▼ lost" in page


def test_rewards_that_differ_in_more_than_the_model_keep_their_whole_name(content: ReportContent) -> None:
    renamed = {REWARDS[0]: "reward|model:lab:reward|temperature:2"}
    estimates = tuple(
        dataclasses.replace(estimate, metric=renamed.get(estimate.metric, estimate.metric))
        for estimate in content.summary.estimates
    )
    named = rater_groups(dataclasses.replace(content.summary, estimates=estimates))
    assert named[renamed[REWARDS[0]]] == "reward (model lab:reward, temperature 2)"


def test_one_reward_is_no_comparison_of_raters(two_arms: ReportContent) -> None:
    assert raters.raters(two_arms.summary) is None
    assert raters.gains(two_arms.summary) is None
    assert 'id="raters"' not in build_report(two_arms)
