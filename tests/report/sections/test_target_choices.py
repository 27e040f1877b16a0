"""Choices against their target distribution: where each point lies, what is said of a prompt, and which is shown first."""

from __future__ import annotations

import dataclasses
import json

import pytest

from evalkit.analysis.figure_data import ChoiceShares
from evalkit.report.content.content import ReportContent
from evalkit.report.content.target_choices import ArmShares, TargetPrompt, target_prompts
from evalkit.report.page import build_report
from evalkit.report.plots.target_choices import whole_percent
from evalkit.report.sections.target_choices import choices_view, one_by_one, says, squares
from tests.report.page_sections import COIN, GAME, HOSTILE, SHARES, everything


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return everything()


def with_choices(content: ReportContent, *shares: ChoiceShares) -> ReportContent:
    return dataclasses.replace(content, figure_data=dataclasses.replace(content.figure_data, choices=shares))


def test_two_choices_are_told_as_odds(content: ReportContent) -> None:
    sentence = says(target_prompts(content)[0])
    assert sentence == "Asked for 51 to 49 (Heads to Tails), base says 53 to 47 and tuned says 97 to 3."


def test_more_are_told_by_the_likeliest(content: ReportContent) -> None:
    sentence = says(target_prompts(content)[1]).replace("\u00a0", " ")
    wanted = f"Asked for 50 % at the most ({HOSTILE}); the likeliest answer is {HOSTILE} with 50 % in base"
    assert sentence == f"{wanted} and Paper with 50 % in tuned."


def test_equal_choices_are_asked_for_each(content: ReportContent) -> None:
    fair = dataclasses.replace(GAME, choices=dict.fromkeys(GAME.choices, 1 / 3))
    sentence = says(TargetPrompt(fair, target_prompts(content)[1].arms)).replace("\u00a0", " ")
    assert sentence.startswith("Asked for 33 % each; the likeliest answer is")


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0 %"), (1e-9, "under 1 %"), (0.049, "5 %"), (0.9999, "over 99 %"), (1.0, "100 %")]
)
def test_a_percent_is_never_all_or_nothing_where_it_is_not(share: float, words: str) -> None:
    assert whole_percent(share).replace("\u00a0", " ") == words


def test_every_choice_is_a_point_at_what_was_asked_and_given(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    by_arm = squares(content)
    assert list(by_arm) == ["base", "tuned"]
    [trace] = by_arm["tuned"]["data"]
    assert Figure(by_arm["tuned"]).data
    assert trace["x"] == [0.51, 0.49, 0.5, 0.3, 0.2]
    assert trace["y"] == [0.97, 0.03, 0.25, 0.5, 0.125]  # the second prompt's were drawn: 8, 16 and 4 of 32
    assert [symbol.endswith("-open") for symbol in trace["marker"]["symbol"]] == [False, False, True, True, True]


def test_total_variation_is_the_share_of_answers_that_would_have_to_be_others() -> None:
    exact = ArmShares("tuned", {"Heads": 0.97, "Tails": 0.03}, True, 32)
    assert exact.total_variation(COIN.choices) == pytest.approx(0.46)
    elsewhere = ArmShares("tuned", {"Heads": 0.51, "Tails": 0.29}, True, 32)
    assert elsewhere.total_variation(COIN.choices) == pytest.approx(
        0.2
    )  # a fifth of the answers is none of the choices


def test_the_prompt_that_moved_most_is_shown_first(content: ReportContent) -> None:
    def first(*shares: ChoiceShares) -> object:
        selector = one_by_one(with_choices(content, *shares))
        assert isinstance(selector, dict)
        return selector["first"]

    assert first(*SHARES) == 0
    still = dataclasses.replace(SHARES[1], exact=SHARES[0].exact)
    assert first(SHARES[0], still, *SHARES[2:]) == 1
    assert first(SHARES[1], SHARES[2]) == 0  # nothing to compare with: furthest from what was asked for


def test_bars_stand_where_the_distribution_is_and_are_hollow_where_it_was_counted(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    selector = one_by_one(content)
    assert isinstance(selector, dict)
    coin, game = (prompt["figure"] for prompt in selector["prompts"])
    assert Figure(coin).data
    bars = [trace for trace in coin["data"] if trace["type"] == "bar"]
    assert [bar["x"] for bar in bars] == [[0.53, 0.47], [0.97, 0.03]]
    assert [mark["x0"] for mark in coin["layout"]["shapes"]] == [0.51, 0.49]
    colours = [trace["marker"]["color"] for trace in game["data"] if trace["type"] == "bar"]
    assert colours == ["var(--arm-0)", "rgba(0,0,0,0)"]


def test_labels_keep_clear_of_the_mark(content: ReportContent) -> None:
    selector = one_by_one(content)
    assert isinstance(selector, dict)
    names = [trace for trace in selector["prompts"][0]["figure"]["data"] if trace["type"] == "scatter"]
    assert names[0]["x"] == [0.53, 0.49]  # a bar beyond its mark, and one that ends just before it
    assert names[1]["x"] == [0.97, 0.03]


def test_the_page_has_the_numbers_of_every_choice(content: ReportContent) -> None:
    page = build_report(content).replace("\u00a0", " ")
    assert "<td><bdi>Heads</bdi></td><td>51 %</td><td>53 %</td><td>97 %</td>" in page
    assert "<td><bdi>Paper</bdi></td><td>30 %</td><td>30 %</td><td>50 %</td>" in page
    assert "the likeliest answer should have 50 %; the likeliest one has 52 % in base and 74 % in tuned." in page


def test_prompts_and_choices_are_text(content: ReportContent) -> None:
    assert HOSTILE not in build_report(content)
    selector = one_by_one(content)
    assert isinstance(selector, dict)
    assert HOSTILE not in json.dumps(selector["prompts"][1]["figure"])
    assert HOSTILE not in json.dumps(squares(content))


def test_without_choices_there_is_no_section(content: ReportContent) -> None:
    plain = with_choices(content)
    assert choices_view(plain) is None
    assert one_by_one(plain) is None
    assert 'id="choices"' not in build_report(plain)
