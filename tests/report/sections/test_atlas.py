"""The atlas on the page: its key, its regions as a table, and points that find their texts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from evalkit.analysis.figure_data import Atlas, FigureData, Region
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections import atlas as section
from tests.analysis.atlas.test_packing import unpacked
from tests.report.mapped import with_atlas, with_map
from tests.report.test_page import Page


@pytest.fixture(scope="module")
def content(two_arms: ReportContent) -> ReportContent:
    return with_atlas(with_map(two_arms))


@pytest.fixture(scope="module")
def html(content: ReportContent) -> str:
    return build_report(content)


def drawn(content: ReportContent) -> Any:
    return section.atlas_data(content)


def made(**regions: Any) -> Atlas:
    return Atlas(("base", "tuned"), ("p",), (("x", 400),), "", tuple(regions.values()), 400, 0.5, 0.25, 0.999)


def test_without_an_atlas_there_is_nothing(two_arms: ReportContent) -> None:
    html = build_report(with_map(dataclasses.replace(two_arms, figure_data=FigureData())))
    assert 'id="atlas"' not in html
    assert Page(html).data["atlas"] is None


def test_every_point_finds_its_text_in_the_samples(content: ReportContent, html: str) -> None:
    data, blocks = drawn(content), Page(html).blocks
    names, lengths = zip(*data["columns"], strict=True)
    atlas = content.figure_data.atlas
    assert atlas is not None
    columns = dict(zip(names, unpacked(atlas.packed, list(lengths)), strict=True))
    text = np.repeat(np.arange(len(columns["points"])), columns["points"])
    words: dict[int, set[str]] = {}
    for point in range(len(text)):
        block = blocks[data["prompts"][columns["prompt"][point]]]
        entry = block[data["arms"][columns["arm"][point]]["name"]]["classes"][columns["rank"][point]]
        assert entry[1] == columns["count"][point]
        words.setdefault(text[point], set()).add(entry[0])
    assert all(len(said) == 1 for said in words.values())
    assert len(words) == len({said for own in words.values() for said in own})


def test_the_fullest_region_comes_first_with_each_arms_share(content: ReportContent) -> None:
    atlas = made(
        few=Region(("rare",), 0, 0, (10, 1), 1), many=Region(("often", "so"), 5, 5, (30, 99), 1), none=Region((), 1, 1, (0, 0), 0)
    )  # fmt: skip
    view = section.atlas_view(dataclasses.replace(content, figure_data=FigureData(atlas=atlas)))
    assert view is not None
    assert [row.name for row in view.rows] == ["often · so", "rare", section.NAMELESS]
    assert [row.index for row in view.rows] == [1, 0, 2]
    assert view.rows[0].shares == ("75 %", "99 %")
    assert view.rows[1].shares == ("25 %", "1.0 %")
    assert (view.completions, view.placed, view.kept, view.by_chance, view.listed) == (
        "140",
        "",
        "50 %",
        "2.5 %",
        "100 %",
    )


def test_names_of_regions_are_escaped(content: ReportContent) -> None:
    atlas = made(evil=Region(("<b>x</b>",), 0, 0, (10, 1), 1))
    html = build_report(dataclasses.replace(content, figure_data=dataclasses.replace(content.figure_data, atlas=atlas)))
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html


def test_a_prompt_that_the_page_has_not_is_none(content: ReportContent) -> None:
    atlas = made(one=Region((), 0, 0, (1, 1), 1))
    assert drawn(dataclasses.replace(content, figure_data=FigureData(atlas=atlas)))["prompts"] == [None]
