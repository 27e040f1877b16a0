"""What people preferred, on the page and in the verdict; the words of the verdict are `verdicts/people_claims.py`'s."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.analysis.intervals import Mean
from evalkit.preferences.agreement.two_way import Estimate
from evalkit.preferences.crossed import Crossed
from evalkit.preferences.people import People
from evalkit.preferences.proxies import Contested, Disagreement, ProxyRate
from evalkit.preferences.win_rate import WinRate
from evalkit.report.page import build_report
from evalkit.report.sections.people import people_view, win_rate_figure
from evalkit.report.verdicts.people_claims import people_claims
from tests.report.example import synthetic
from tests.report.page_sections import HOSTILE


def rate(value: float, group: str | None = None, few: bool = False, half: float = 0.05) -> WinRate:
    crossed = Crossed(value, value - half, value + half, few)
    return WinRate("tuned", "base", group, crossed, labels=400, pairs=380, prompts=60, raters=12, ties=0.2)


def said(*rates: WinRate, proxy: float = 0.4) -> People:
    contested = Contested("line-00", HOSTILE, 4, 3, HOSTILE, "a dull answer", 3, 4)
    against = Crossed(0.4, 0.3, 0.5, True)
    return People(
        rates,
        (ProxyRate("tuned", "reward", Mean(proxy, proxy - 0.02, proxy + 0.02, 60)),),
        (Disagreement("reward", 120, against, 3, (contested,)),),
        None,
        labels=400,
        raters=12,
        agreed=Estimate(0.7, 0.6, 0.8, 50, 12, "pairs and raters"),
        alpha=Estimate(0.31, 0.2, 0.4, 50, 12, "pairs and raters"),
        aside=7,
        unknown=0,
    )


def test_a_clear_preference_is_a_claim_and_so_is_a_proxy_that_says_the_other_way() -> None:
    [claim] = people_claims(said(rate(0.62)))
    assert claim == (
        "People prefer tuned over base: 0.62 (95 % interval 0.57 to 0.67); reward (0.40 for tuned) says the other way."
    )
    [agreed] = people_claims(said(rate(0.62), proxy=0.7))
    assert agreed == "People prefer tuned over base: 0.62 (95 % interval 0.57 to 0.67)."


def test_the_preferred_side_comes_first() -> None:
    [claim] = people_claims(said(rate(0.38), proxy=0.5))
    assert claim == "People prefer base over tuned: 0.62 (95 % interval 0.57 to 0.67)."


def test_nothing_clear_is_no_claim() -> None:
    assert people_claims(said(rate(0.52))) == []
    assert people_claims(None) == []


def test_a_few_raters_speak_for_themselves() -> None:
    [claim] = people_claims(said(dataclasses.replace(rate(0.62, few=True), raters=3), proxy=0.5))
    assert claim.startswith("The 3 raters asked prefer tuned over base: 0.62")


def test_of_groups_of_few_raters_it_says_how_many() -> None:
    [claim] = people_claims(said(rate(0.51), rate(0.7, "writers", few=True), rate(0.3, "readers")))
    assert claim.startswith("Raters differ: writers (12 raters asked) prefer tuned over base: 0.70")
    assert " and readers prefer base over tuned" in claim


def test_groups_that_want_opposite_things_are_not_averaged_away() -> None:
    [claim] = people_claims(said(rate(0.51), rate(0.7, "writers"), rate(0.3, "readers")))
    assert claim == (
        "Raters differ: writers prefer tuned over base: 0.70 (95 % interval 0.65 to 0.75) and "
        "readers prefer base over tuned: 0.70 (95 % interval 0.65 to 0.75)."
    )


def test_people_and_proxies_are_dots_on_one_axis() -> None:
    from plotly.graph_objects import Figure

    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)], prompts=2, samples=2)
    figure = win_rate_figure(said(rate(0.62), rate(0.52, "readers")), content.summary)
    assert figure is not None
    assert Figure(figure).data
    [tuned] = figure["data"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["all raters", "readers", "by reward"]
    assert tuned["x"] == [0.62, 0.52, 0.4]
    assert tuned["marker"]["symbol"] == ["square", "square-open", "square"]


def test_the_page_says_it_and_shows_texts_as_text() -> None:
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)], prompts=2, samples=2)
    page = build_report(dataclasses.replace(content, people=said(rate(0.62)))).replace("\u00a0", " ")
    assert 'id="people-plot"' in page
    assert "People prefer tuned over base: 0.62" in page
    assert "400 votes · 12 raters · two raters answer a pair alike in 70% (95 % interval 60% to 80%) of cases" in page
    assert "reward orders 40% (95 % interval 30% to 50%) of 120 pairs the other way round" in page
    assert "people chose (3 of 4)" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert HOSTILE not in page
    assert 'id="people"' not in build_report(content)


def test_what_was_left_out_is_said() -> None:
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)], prompts=2, samples=2)
    view = people_view(said(rate(0.62, few=True)), content.summary)
    assert view is not None
    assert view.notes[0].startswith("7 answers count for nothing here")
    assert view.notes[1].startswith("With fewer than 5 equally busy raters (all raters)")
    assert [row.finding for row in view.rows] == ["▲ preferred", "▼ not better"]


@pytest.mark.parametrize("groups", [(), ("writers",)])
def test_a_single_group_is_the_claim(groups: tuple[str, ...]) -> None:
    [claim] = people_claims(said(rate(0.62, *groups), proxy=0.5))
    assert claim.startswith("People prefer tuned over base")
