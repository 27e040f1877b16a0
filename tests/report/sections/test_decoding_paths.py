"""Decoding paths on the page: lines with settings as labels, crossings where the lines are, names as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.metrics.summary import Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.plots.decoding_paths import decoding_figure
from evalkit.report.sections.decoding_paths import decoding_view, one_by_one
from tests.report.paths import with_paths

HOSTILE = "<script>alert(1)</script><b>bold</b>"


@pytest.fixture(scope="module")
def summary(sweep: ReportContent) -> Summary:
    return with_paths(sweep.summary, diversities=("vendi", "self_bleu"))


def test_lines_join_settings_in_their_order_and_points_are_labelled(summary: Summary) -> None:
    figure = decoding_figure(summary, "vendi")
    assert figure is not None
    line, base, tuned, *_ = figure["data"]
    at = {one.arm: one.value for one in summary.estimates if one.metric == "vendi"}
    names = ["tuned T=0.5", "tuned T=0.7", "tuned T=1", "tuned T=1.3"]
    assert (line["mode"], line["x"]) == ("lines", [at[name] for name in names])
    assert (base["text"], tuned["text"]) == (["base"], ["T 0.5", "T 0.7", "T 1", "T 1.3"])
    levels = [shape["x0"] for shape in figure["layout"]["shapes"] if shape.get("yref") == "paper"]
    assert levels == [at["base"]]


def test_a_diamond_lies_on_the_line_where_it_meets_the_baseline(summary: Summary) -> None:
    found = summary.decoding
    assert found is not None
    near = replace(found, crossings=tuple(replace(one, at=(1.15,)) for one in found.crossings if one.metric == "vendi"))
    figure = decoding_figure(replace(summary, decoding=near), "vendi")
    assert figure is not None
    diamond = figure["data"][-1]
    at = {one.arm: one.value or 0 for one in summary.estimates if one.metric == "vendi"}
    assert diamond["x"] == [pytest.approx((at["tuned T=1"] + at["tuned T=1.3"]) / 2)]
    assert "T = 1.15" in diamond["hovertext"][0].replace("<br>", " ")


def test_every_measure_can_be_picked_and_the_easiest_comes_first(summary: Summary) -> None:
    view, data = decoding_view(summary), one_by_one(summary)
    assert view is not None
    assert isinstance(data, dict)
    assert [option.split(" (")[1] for option in view.options] == ["vendi)", "self_bleu)"]
    assert data["first"] == 0
    assert len(data["prompts"]) == 2
    assert {row.measure for row in view.crossings} == {"reward", "vendi", "self_bleu"}
    assert {row.arm for row in view.given} == {"tuned T=0.5", "tuned T=0.7", "tuned T=1.3"}


def test_an_axis_is_turned_where_less_is_more_diverse(summary: Summary) -> None:
    figure = decoding_figure(summary, "self_bleu")
    assert figure is not None
    first, last = figure["layout"]["xaxis"]["range"]
    assert first > last


def test_without_a_quality_sentences_stand_alone(summary: Summary) -> None:
    assert summary.decoding is not None
    bare = replace(summary, decoding=replace(summary.decoding, quality=None, trades=(), recoveries=()))
    view = decoding_view(bare)
    assert view is not None
    assert (view.is_drawn, decoding_figure(bare, "vendi")) == (False, None)
    assert view.said


def test_a_run_without_paths_has_no_such_section(two_arms: ReportContent) -> None:
    assert decoding_view(two_arms.summary) is None
    assert one_by_one(two_arms.summary) is None
    assert 'id="decoding"' not in build_report(two_arms)


def test_names_are_shown_as_text(sweep: ReportContent, summary: Summary) -> None:
    name = {"tuned": HOSTILE}
    arms = tuple(replace(arm, checkpoint=name.get(arm.checkpoint, arm.checkpoint)) for arm in summary.arms)
    page = build_report(replace(sweep, summary=with_paths(replace(summary, arms=arms))))
    assert 'id="decoding"' in page
    assert HOSTILE not in page
