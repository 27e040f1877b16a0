"""The maps of completions on the page: there where embeddings were measured, most narrowed prompt first."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from evalkit.analysis.figure_data import FigureData
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections import embedding_map as maps
from tests.report.mapped import with_map
from tests.report.test_page import Page


@pytest.fixture(scope="module")
def content(two_arms: ReportContent) -> ReportContent:
    return with_map(two_arms)


@pytest.fixture(scope="module")
def page(content: ReportContent) -> Page:
    return Page(build_report(content))


def drawn(content: ReportContent) -> Any:
    return maps.map_data(content)


def test_without_embeddings_there_is_nothing(two_arms: ReportContent) -> None:
    html = build_report(dataclasses.replace(two_arms, figure_data=FigureData()))
    assert 'id="map"' not in html
    assert 'href="#map"' not in html
    assert Page(html).data["map"] is None


def test_the_table_behind_the_map_is_in_the_page(page: Page) -> None:
    assert "Where the answers lie" in page.text
    assert page.attributes.count(("a", "href", "#map")) == 1


def test_the_prompt_that_narrowed_most_comes_first(content: ReportContent) -> None:
    falls = []
    for one in drawn(content)["prompts"]:
        base, tuned = (float(arm["cells"][1]) for arm in one["arms"])
        falls.append(base - tuned)
    assert falls[0] == pytest.approx(max(falls))
    assert falls[-1] == pytest.approx(min(falls))
    assert falls[0] > falls[-1]


def test_every_point_finds_its_text_in_the_samples(content: ReportContent, page: Page) -> None:
    maps, blocks = page.data["map"], page.blocks
    for one in maps["prompts"]:
        block = blocks[one["index"]]
        for arm in one["arms"]:
            name = maps["arms"][arm["arm"]]["name"]
            counts = [count for _, count, *_ in block[name]["classes"]]
            assert [counts[text] for text in arm["texts"]] == list(arm["counts"])
            assert len(counts) == len(arm["x"]) == len(arm["ax"])


def test_arms_of_one_checkpoint_share_a_colour_but_neither_symbol_nor_dash(sweep: ReportContent) -> None:
    arms = drawn(with_map(sweep))["arms"]
    assert len({arm["colour"] for arm in arms}) == 2
    assert len({arm["symbol"] for arm in arms}) == len({arm["dash"] for arm in arms}) == 5
    assert [arm["baseline"] for arm in arms] == [None, 0, 0, 0, 0]


def test_a_thinned_map_says_so(content: ReportContent, page: Page) -> None:
    assert "one completion in" not in page.text
    found = content.figure_data.completion_map
    assert found is not None
    thinned = FigureData(completion_map=dataclasses.replace(found, step=3))
    told = Page(build_report(dataclasses.replace(content, figure_data=thinned))).text
    assert "one completion in 3 is shown" in " ".join(told.split())


def test_five_arms_add_little_to_the_page(sweep: ReportContent) -> None:
    bare = build_report(dataclasses.replace(sweep, figure_data=FigureData()))
    assert len(build_report(with_map(sweep))) - len(bare) < 1_000_000
