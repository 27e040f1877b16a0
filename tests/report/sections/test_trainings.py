"""Training curves in the report: an arm's colour, every column that was logged, and nothing without a log."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections import trainings
from tests.report.page_sections import HOSTILE, everything, training


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return everything()


def test_each_column_is_a_chart_with_a_line_a_checkpoint_in_its_arm_s_colour(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    found = trainings.curves(content.summary, content.figure_data.trainings)
    assert list(found) == ["reward", "kl", "entropy"]
    assert all(Figure(figure).data for figure in found.values())
    [line] = found["kl"]["data"]
    assert (line["x"], line["y"]) == ([1, 3, 4], [0.0, 2.0, 4.0])
    assert line["line"]["color"] == "var(--arm-1)"


def test_what_no_training_logged_is_not_drawn(content: ReportContent) -> None:
    short = dataclasses.replace(training("tuned"), entropy=(None, None, None))
    assert list(trainings.curves(content.summary, [short])) == ["reward", "kl"]


def test_a_point_that_is_a_mean_says_so(content: ReportContent) -> None:
    page = build_report(content)
    assert "Each point is the mean of 2 updates." in page
    assert "<td>4</td><td>0.75</td><td>4</td><td>–</td>" in page


def test_the_table_of_a_long_training_ends_with_its_last_step(content: ReportContent) -> None:
    steps = tuple(range(100))
    values = tuple(float(step) for step in steps)
    long = dataclasses.replace(training("tuned"), steps=steps, reward=values, kl=values, entropy=values)
    told = trainings.trainings(content.summary, [long])
    assert told is not None
    assert len(told.rows) <= trainings.ROWS
    assert told.rows[-1].step == "99"


def test_names_of_checkpoints_are_text(content: ReportContent) -> None:
    [figure, *_] = trainings.curves(content.summary, [training(HOSTILE)]).values()
    assert HOSTILE not in str(figure)


def test_without_a_log_there_is_no_section(two_arms: ReportContent) -> None:
    assert 'id="trainings"' not in build_report(two_arms)
