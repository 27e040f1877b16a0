"""Whose opinions: distances with their change, whom an arm moved towards, every question; strangers' texts stay texts."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from evalkit.metrics.estimators.opinions import UNIFORM, answered
from evalkit.report.content.content import ReportContent
from evalkit.report.content.opinions import opinion_questions
from evalkit.report.content.target_choices import target_prompts
from evalkit.report.page import build_report
from evalkit.report.sections import opinions
from evalkit.report.verdicts.opinions import group_distances, opinion_claims
from evalkit.report.verdicts.verdict import verdict
from tests.report.opinions import HOSTILE, NORTH, QUESTIONS, SOUTH, opinions_content


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return opinions_content()


def test_the_page_shows_the_distribution_that_was_measured(content: ReportContent) -> None:
    for arm, groups in content.groups.items():
        for shown, of in zip(opinion_questions(content), answered(groups), strict=True):
            shares = next(shares for shares in shown.arms if shares.name == arm)
            assert shares.shares == pytest.approx(of.shares)
            assert shares.is_exact == of.is_exact == (arm != "served")
            assert shares.order_effect == pytest.approx(of.order_effect)


def test_mean_distances_of_the_questions_are_the_estimates(content: ReportContent) -> None:
    for arm, distances in group_distances(content.summary).items():
        assert [each.group for each in distances] == [NORTH, SOUTH, UNIFORM]
        for each in distances:
            of_questions = [question.distance(arm, each.group) for question in opinion_questions(content)]
            assert each.estimate.value == pytest.approx(np.mean(of_questions))  # type: ignore[arg-type]
            assert each.estimate.prompts == len(QUESTIONS)


def test_whom_an_arm_moved_towards_is_said_with_the_change(content: ReportContent) -> None:
    claims = opinion_claims(content.summary)
    assert list(claims) == ["tuned", "served"]
    assert claims["tuned"].startswith(
        "tuned moved towards the opinions of North (distance 0.08 instead of 0.37, change −0.29, 95 % int"
    )
    assert f"moved away from the opinions of {SOUTH} (" in claims["tuned"]
    assert "is further from all choices alike (" in claims["tuned"]
    assert claims["served"].startswith(f"served moved towards the opinions of {SOUTH}")


def test_where_nothing_is_clear_that_is_said(content: ReportContent) -> None:
    unsure = tuple(dataclasses.replace(d, p_adjusted=0.5) for d in content.summary.differences)
    claims = opinion_claims(dataclasses.replace(content.summary, differences=unsure))
    assert claims["tuned"] == "tuned moved clearly neither towards any group's opinions nor away from them."


def test_it_is_the_headline_where_no_other_side_is_known(content: ReportContent) -> None:
    said = verdict(content.summary)
    claims = opinion_claims(content.summary)
    assert said.claim == claims["tuned"]
    assert claims["served"] in said.besides


def test_each_arm_has_an_arrow_from_its_baseline_to_each_group(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    figure = opinions.chart(content.summary)
    assert figure is not None
    assert Figure(figure).data
    arrows = figure["layout"]["annotations"]
    assert len(arrows) == 2 * 3  # two arms, two groups and nobody
    distances = group_distances(content.summary)
    assert [arrow["ax"] for arrow in arrows[:3]] == [each.estimate.value for each in distances["base"]]
    assert [arrow["x"] for arrow in arrows[:3]] == [each.estimate.value for each in distances["tuned"]]


def test_what_makes_numbers_less_than_they_seem_is_said(content: ReportContent) -> None:
    view = opinions.opinions_view(content)
    assert view is not None
    order, _, even, drawn = [line.replace("\u00a0", " ") for line in view.cautions]
    # A mean over questions: on some of them the arm may well have an opinion.
    assert even.startswith("On average over the questions base answers nearly as if all choices were alike (dist")
    assert "tells of no opinion" not in even
    assert order.startswith("Of the answers of base 36 % change with the order of the choices.")
    assert drawn.startswith("Answers of served were drawn and counted, 69 a question.")


def test_the_table_has_every_arm_and_group_by_every_measure(content: ReportContent) -> None:
    view = opinions.opinions_view(content)
    assert view is not None
    assert [(row.arm, row.group) for row in view.rows[:4]] == [
        ("base", NORTH), ("base", SOUTH), ("base", "all choices alike"), ("tuned", NORTH),
    ]  # fmt: skip
    assert view.besides == ("opinion_wasserstein", "opinion_total_variation", "opinion_jensen_shannon")
    assert (view.rows[3].mark, view.rows[4].mark) == ("→ towards", "← away")
    assert view.rows[0].change == ""
    assert view.columns == ("base", "tuned", "served", NORTH, SOUTH)
    assert len(view.questions) == len(QUESTIONS)


def test_a_question_is_told_by_who_is_nearest_and_the_one_that_moved_most_is_first(content: ReportContent) -> None:
    selector = opinions.one_by_one(content)
    assert isinstance(selector, dict)
    questions = selector["prompts"]
    assert isinstance(questions, list)
    assert len(questions) == len(QUESTIONS)
    shown = opinion_questions(content)
    moved = [
        max(sum(abs(a - b) for a, b in zip(arm.shares, each.arms[0].shares, strict=True)) for arm in each.arms[1:])
        for each in shown
    ]
    assert selector["first"] == moved.index(max(moved))
    assert "tuned to North" in opinions.of_question(shown[1])
    assert "along the scale" in opinions.of_question(shown[1])
    assert "share of other answers" in opinions.of_question(shown[0])


def test_letters_of_a_question_are_no_stated_distribution(content: ReportContent) -> None:
    assert target_prompts(content) == []
    assert 'id="choices"' not in build_report(content)


def test_questions_choices_and_groups_are_text(content: ReportContent) -> None:
    page = build_report(content)
    assert HOSTILE not in page
    assert 'id="opinions-plot"' in page
    assert HOSTILE not in json.dumps(opinions.chart(content.summary))


def test_without_questions_there_is_no_section(two_arms: ReportContent) -> None:
    assert opinions.opinions_view(two_arms) is None
    assert opinions.one_by_one(two_arms) is None
    assert 'id="opinions"' not in build_report(two_arms)


def test_labels_of_bars_that_stand_close_are_of_one_line_and_their_number_comes_first(content: ReportContent) -> None:
    """Two lines of a label run through the next bar's on a phone; what is cut there is a name's end."""
    selector = opinions.one_by_one(content)
    assert isinstance(selector, dict)
    traces = [trace for each in selector["prompts"] for trace in each["figure"]["data"]]
    names = [trace for trace in traces if trace.get("mode") == "text"]
    assert names
    for trace in names:
        assert trace["meta"] == "one line"
        assert all(text.strip()[0] in "0123456789<≈" for text in trace["text"])
