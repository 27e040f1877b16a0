"""200 000 completions on one page: its size, and that a browser draws and reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.completion_map import make_mapped_content
from evalkit.analysis.atlas import draw_atlas, layout, neighbours
from evalkit.analysis.figure_data import FigureData
from evalkit.report.page import build_report
from tests.browser import Browser

MOST_BYTES = 15_000_000


@pytest.mark.slow
def test_two_hundred_thousand_completions_are_one_map(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        layout, "LANDMARKS", 500
    )  # the bench has as many as a run, as much to look at, and rows as long
    monkeypatch.setattr(neighbours, "CANDIDATES", 600)
    content = make_mapped_content(200_000, 16)
    atlas = draw_atlas(content.groups)
    assert atlas is not None
    assert len(atlas.packed) < MOST_BYTES
    assert dict(atlas.columns)["x"] == 200_000
    assert atlas.near > 0.9
    assert atlas.listed > 0.5
    browser.open(build_report(replace(content, figure_data=FigureData(atlas=atlas))))
