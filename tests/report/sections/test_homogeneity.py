"""How alike arms are, on the page: a map that is its table, a sentence that says no more than is clear, examples as text."""

from __future__ import annotations

import dataclasses
import re

import pytest

from evalkit.analysis.figure_data import Accord
from evalkit.metrics.summary import Contrast, Homogeneity, Likeness, Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.results.figures import figure_of
from evalkit.report.sections.homogeneity import heat_map, homogeneity_view
from evalkit.report.verdicts.homogeneity import alike_claims, alike_sentence
from tests.report.mapped import with_map

HOSTILE = "<script>alert(1)</script><b>bold</b>"


@pytest.fixture
def content(sweep: ReportContent) -> ReportContent:
    return with_map(sweep)


def of(arms: list[str], contrast: Contrast | None = None) -> Homogeneity:
    cells = [
        Likeness(one, other, 0.5 if one == other else 0.25, 0.2, 0.6, 9)
        for place, one in enumerate(arms)
        for other in arms[place:]
    ]
    return Homogeneity("homogeneity|enc:e|v:1.0", 0.95, tuple(cells), (0.3,), contrast)


def summary_of(found: Homogeneity | None) -> Summary:
    return Summary("s", ("p",), (), (), (), homogeneity=found)


def test_the_map_is_the_table_both_ways_round(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    figure, view = heat_map(content.summary), homogeneity_view(content)
    assert figure is not None
    assert view is not None
    [trace] = Figure(figure).data
    values = figure["data"][0]["z"]
    names = [arm.name for arm in content.summary.arms]
    assert list(view.arms) == [name for name, _ in view.rows] == names
    assert values == [list(row) for row in zip(*values, strict=True)]
    assert trace.zmin == 0
    for (_, cells), row in zip(view.rows, values, strict=True):
        assert [float(value) for value, _ in cells] == pytest.approx(row, abs=0.006)
        assert all(re.fullmatch(r"[\d.]+ to [\d.]+", interval) for _, interval in cells)


def test_a_figure_for_notebooks_has_its_colours(content: ReportContent) -> None:
    figure = figure_of(content, "homogeneity", None, None)
    assert all(colour.startswith("#") for _, colour in figure.data[0].colorscale)


@pytest.mark.parametrize(("arms", "size"), [(2, 13), (5, 13), (6, 9), (8, 9), (9, None), (30, None)])
def test_numbers_stand_in_cells_that_have_room_for_them(arms: int, size: int | None) -> None:
    figure = heat_map(summary_of(of([f"arm {number}" for number in range(arms)])))
    assert figure is not None
    assert figure["data"][0].get("textfont", {}).get("size") == size
    assert len(figure["layout"]["shapes"]) == arms


def test_what_is_not_defined_is_no_colour_and_no_number() -> None:
    found = of(["a", "b"])
    blank = [dataclasses.replace(cell, value=None, low=None, high=None) for cell in found.cells]
    partly = dataclasses.replace(found, cells=(blank[0], *found.cells[1:]))
    figure = heat_map(summary_of(partly))
    assert figure is not None
    assert figure["data"][0]["z"][0][0] is None
    assert figure["data"][0]["text"][0][0] == ""
    assert heat_map(summary_of(dataclasses.replace(found, cells=tuple(blank)))) is None
    assert heat_map(summary_of(None)) is None


def test_the_sentence_says_only_what_is_clear() -> None:
    clear = Contrast("bases", 0.62, 0.48, 0.14, 0.11, 0.17, 0.0001)
    said = (
        "Tuned checkpoints are more like each other than base ones are: answers of two of them to the same prompt have a "
        "mean cosine of 0.62, those of two base ones 0.48 (difference +0.14, 95 % interval 0.11 to 0.17)."
    )
    assert alike_sentence(summary_of(of(["a"], clear))) == said
    assert alike_claims(summary_of(of(["a"], clear))) == [said]
    less = dataclasses.replace(clear, value=-0.14, low=-0.17, high=-0.11)
    assert alike_sentence(summary_of(of(["a"], less))).startswith("Tuned checkpoints are less like each other")
    unclear = dataclasses.replace(clear, p=0.2)
    assert alike_sentence(summary_of(of(["a"], unclear))).startswith("It is not clear that tuned checkpoints are more")
    assert alike_claims(summary_of(of(["a"], unclear))) == []
    of_one_base = dataclasses.replace(clear, beside="base")
    assert "more like each other than like the base:" in alike_sentence(summary_of(of(["a"], of_one_base)))
    assert alike_claims(summary_of(of(["a"], of_one_base))) == []
    assert alike_sentence(summary_of(of(["a"]))) == alike_sentence(summary_of(None)) == ""


def test_prompts_and_answers_are_text(content: ReportContent) -> None:
    prompt = content.summary.prompts[0]
    hostile = Accord(prompt, HOSTILE, 0.9, (("base", HOSTILE),))
    gone = Accord("no longer there", "Another run's?", 0.8, ())
    figure_data = dataclasses.replace(content.figure_data, accords=(hostile, gone))
    page = build_report(dataclasses.replace(content, figure_data=figure_data))
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;bold&lt;/b&gt;") == 2
    assert "Another run" not in page


def test_a_page_without_embeddings_has_no_such_section(sweep: ReportContent) -> None:
    page = build_report(sweep)
    assert 'id="homogeneity"' not in page
    assert homogeneity_view(sweep) is None
