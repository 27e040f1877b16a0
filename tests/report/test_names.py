"""The names of points can be read: in a real browser, at every width, however near the points lie."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from tests.browser import WIDTHS, Browser, checks
from tests.report.whole import whole_content

NAMES = """[...document.querySelectorAll(".plot")].filter((plot) => plot.querySelector(".textpoint"))
  .map((plot) => {
    const box = (element) => { const { left, right, top, bottom } = element.getBoundingClientRect(); return [left, right, top, bottom]; };
    const all = (selector) => [...plot.querySelectorAll(selector)];
    return {
      id: plot.id,
      names: all(".textpoint text").map((word) => [word.textContent, ...box(word)]),
      points: all(".points path").map(box),
      bars: all(".errorbar path").map(box),
      chart: box(plot),
    };
  })"""
PUT = """charts.draw(document.getElementById("overview-plot"), ((figure) => {
  const points = %s;
  const trace = figure.data.find(({ mode }) => mode.includes("text"));
  figure.data = points.map(([x, y, name]) => ({ ...trace, x: [x], y: [y], text: [name], hovertext: [name],
    error_x: { ...trace.error_x, array: [%s], arrayminus: [%s] }, error_y: { ...trace.error_y, array: [%s], arrayminus: [%s] } }));
  figure.layout = { ...figure.layout, xaxis: { ...figure.layout.xaxis, range: [0, 100] }, yaxis: { ...figure.layout.yaxis, range: [0, 100] } };
  return figure;
})(structuredClone({ data: document.getElementById("overview-plot").data, layout: document.getElementById("overview-plot").layout })))"""


def shared(one: list[float], other: list[float]) -> float:
    """Square pixels that both boxes (left, right, top, bottom) cover."""
    wide = min(one[1], other[1]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[2], other[2])
    return max(wide, 0.0) * max(high, 0.0)


def over_names(chart: dict[str, Any]) -> list[str]:
    return [
        f"{chart['id']}: {one[0]} and {other[0]}"
        for one, other in itertools.combinations(chart["names"], 2)
        if shared(one[1:], other[1:])
    ]


def over_points(chart: dict[str, Any]) -> list[str]:
    return [f"{chart['id']}: {name}" for name, *box in chart["names"] if any(shared(box, at) for at in chart["points"])]


def frontier_of(browser: Browser, points: list[tuple[float, float, str]], bar: float = 0.0) -> dict[str, Any]:
    """The frontier's chart with other points, on axes from 0 to 100, each with bars of that half length."""
    browser.evaluate(PUT % (json.dumps(points), *[bar] * 4))
    return next(chart for chart in browser.evaluate(NAMES) if chart["id"] == "overview-plot")


@pytest.fixture(scope="module")
def report(sweep: ReportContent) -> str:
    return build_report(whole_content(sweep))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_name_covers_another_or_a_point(browser: Browser, report: str, width: int) -> None:
    browser.open(report, width=width)
    checks.is_drawn(browser)
    charts = browser.evaluate(NAMES)
    assert sum(len(chart["names"]) for chart in charts) == 22
    assert [flaw for chart in charts for flaw in (*over_names(chart), *over_points(chart))] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_thirteen_names_of_near_points_are_apart(browser: Browser, report: str, width: int) -> None:
    browser.open(report, width=width)
    steps = [(20 + 4.5 * k, 80 - 5 * k, f"ppo-{1 / (k + 1):.2g}") for k in range(13)]
    chart = frontier_of(browser, steps)
    assert len(chart["names"]) == 13
    assert over_names(chart) == []
    assert over_points(chart) == []


def test_of_too_many_names_those_stay_that_can_be_read_and_the_pointer_finds_the_others(
    browser: Browser, report: str
) -> None:
    browser.open(report, width=800)
    crowd = [(40 + 3 * (k % 8), 40 + 3 * (k // 8), f"jensen-shannon-{k}") for k in range(64)]
    chart = frontier_of(browser, crowd)
    assert len(chart["points"]) == 64
    assert "jensen-shannon-0" in [name for name, *_ in chart["names"]]
    assert 4 < len(chart["names"]) < 40
    for (_, *one), (_, *other) in itertools.combinations(chart["names"], 2):
        assert shared(one, other) <= 0.1 * min((box[1] - box[0]) * (box[3] - box[2]) for box in (one, other)) + 1
    hovered = browser.evaluate(
        "document.getElementById('overview-plot').data.flatMap(({ hovertext }) => hovertext ?? [])"
    )
    assert hovered == [name for _, _, name in crowd]


def test_names_at_the_edges_stay_in_the_chart_and_off_the_points(browser: Browser, report: str) -> None:
    browser.open(report, width=800)
    chart = frontier_of(browser, [(0, 99, "corner"), (99, 1, "other corner"), (12, 97, "near"), (100, 50, "edge")])
    left, right, top, bottom = chart["chart"]
    for _, *box in chart["names"]:
        assert left <= box[0] < box[1] <= right
        assert top <= box[2] < box[3] <= bottom
    assert over_names(chart) == []
    assert over_points(chart) == []


def test_a_name_keeps_clear_of_the_bars_of_its_interval(browser: Browser, report: str) -> None:
    browser.open(report, width=800)
    chart = frontier_of(browser, [(50, 50, "base")], bar=30)
    [[_, *name]] = chart["names"]
    assert len(chart["bars"]) == 2
    assert [bar for bar in chart["bars"] if shared(name, bar)] == []
