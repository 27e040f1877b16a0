"""The next-token law: by rank in a band, along the answer, and nowhere where it was not measured."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.analysis.figure_data import FigureData
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections import next_token
from tests.report.page_sections import everything, shape


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return everything()


def test_every_arm_is_a_line_in_a_band_on_log_axes(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    figure = next_token.by_rank(content.summary, content.figure_data.shapes)
    assert figure is not None
    assert len(Figure(figure).data) == 4
    assert figure["layout"]["xaxis"]["type"] == figure["layout"]["yaxis"]["type"] == "log"
    band, line = figure["data"][0], figure["data"][2]
    assert line["y"] == [0.5, 0.25, 1e-7, None]
    assert band["x"] == [1, 2, 3, 3, 2, 1]
    assert band["y"] == pytest.approx([0.45, 0.2, 1e-7 / 3, 2e-7, 0.3, 0.55])  # an end at 0 is the axis's own


def test_the_axis_holds_every_probability(content: ReportContent) -> None:
    figure = next_token.by_rank(content.summary, content.figure_data.shapes)
    assert figure is not None
    bottom, top = figure["layout"]["yaxis"]["range"]
    assert 10**bottom < 1e-7
    assert 10**top > 1


def test_a_law_that_is_known_nowhere_is_not_drawn(content: ReportContent) -> None:
    unknown = dataclasses.replace(shape("base", 0.5), values=(None,) * 4)
    assert next_token.by_rank(content.summary, [unknown]) is None
    assert next_token.by_rank(content.summary, []) is None


def test_rare_tokens_are_written_so_that_no_one_counts_zeros() -> None:
    assert next_token.probability(0.0944) == "0.0944"
    assert next_token.probability(2.67e-8) == "2.7 × 10⁻⁸"
    assert next_token.probability(9.99e-5) == "1.0 × 10⁻⁴"
    assert next_token.probability(0.0) == "0"
    assert next_token.probability(None) == "not defined"


def test_the_page_has_both_charts_with_their_numbers(content: ReportContent) -> None:
    page = build_report(content)
    assert "At an average place the likeliest token has 50\u00a0% in base and 90\u00a0% in tuned." in page
    assert '<span class="value">1.0 × 10⁻⁷</span> <span class="interval">0 to 2.0 × 10⁻⁷</span>' in page
    assert '<span class="value">4</span> <span class="interval">3 to 5</span>' in page
    assert 'id="rank-plot"' in page
    assert 'id="along-plot"' in page
    assert 'id="curves"' not in page  # what is along the answer is no curve over k


def test_a_page_without_next_token_distributions_has_what_is_along_the_answer(content: ReportContent) -> None:
    page = build_report(dataclasses.replace(content, figure_data=FigureData()))
    assert 'id="rank-plot"' not in page
    assert "At an average place" not in page
    assert 'id="along-plot"' in page


def test_without_either_there_is_no_section(two_arms: ReportContent) -> None:
    assert 'id="next-token"' not in build_report(two_arms)
