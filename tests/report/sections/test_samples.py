"""What is packed comes out as it was, and takes little room."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from evalkit.analysis import shown
from evalkit.analysis.figure_data import FigureData, Meanings
from evalkit.records import Completion, Group, Message
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import asset
from evalkit.report.page import build_report
from evalkit.report.sections import samples
from tests.report.blocks import opened

PRIVATE = "".join(map(chr, range(0xE000, 0xF900)))


def of_texts(content: ReportContent, *texts: str) -> ReportContent:
    """The base arm's first prompt alone, with these completions."""
    prompt = content.groups["base"][0].prompt
    group = Group(prompt, tuple(Completion(prompt.id, slot, text, (), (), "stop") for slot, text in enumerate(texts)))
    return dataclasses.replace(
        content, summary=dataclasses.replace(content.summary, prompts=(prompt.id,)), groups={"base": [group]}, scores={}
    )


@pytest.mark.parametrize(
    "text",
    [
        "rain " * 9,
        'quote " and \\ and \n\t end',
        "\ue000 and \uf8ff are private",
        PRIVATE + " rain rain rain rain",
        "雨が降る",
    ],
)
def test_texts_come_out_as_they_were(two_arms: ReportContent, text: str) -> None:
    packed = samples.pack(of_texts(two_arms, text, "rain"))
    rows = opened(packed.blocks[0], packed.words)["base"]["classes"]
    assert [row[0] for row in rows] == [text.strip(), "rain"]
    assert len(packed.words) <= len(PRIVATE)


def test_frequent_words_are_spelled_once(two_arms: ReportContent) -> None:
    texts = [f"{number} umbrellas" for number in range(samples.FEWEST)]
    assert " umbrellas" in samples.pack(of_texts(two_arms, *texts)).words
    assert " umbrellas" not in samples.pack(of_texts(two_arms, *texts[1:])).words


def test_each_text_tells_its_meaning_where_meanings_were_counted(two_arms: ReportContent) -> None:
    content = of_texts(two_arms, "yes", "indeed", "no", "yes")
    assert [len(row) for row in opened(*_first(content))["base"]["classes"]] == [4, 4, 4]
    classes = {"base": {content.summary.prompts[0]: (0, 0, 1, 0)}}
    counted = dataclasses.replace(content, figure_data=FigureData(meanings=Meanings("distinct_k", 0.65, classes)))
    rows = opened(*_first(counted))["base"]["classes"]
    assert [(text, count, row[-1]) for text, count, *row in rows] == [("yes", 2, 0), ("indeed", 1, 0), ("no", 1, 1)]


def test_marked_words_can_be_read_and_their_lines_seen_in_both_themes() -> None:
    light, dark = re.findall(r"--paper: #.*?\n\s*}", asset("evalkit.report.html", "style.css"), re.DOTALL)[:2]
    for theme in (light, dark):
        colours = dict(re.findall(r"--([a-z]+(?:-\d)?|marked-line): (#[0-9a-f]{6})", theme))
        for level in (1, 2, 3):
            assert contrast(colours["ink"], colours[f"marked-{level}"]) >= 4.5
            assert contrast(colours["marked-line"], colours[f"marked-{level}"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2's, of two colours as #rrggbb."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _first(content: ReportContent) -> tuple[str, tuple[str, ...]]:
    packed = samples.pack(content)
    return packed.blocks[0], packed.words


def test_a_conversation_is_listed_with_its_turns(two_arms: ReportContent) -> None:
    content = of_texts(two_arms, "yes")
    plain: Any = samples.pack(content).prompts[0]
    assert "turns" not in plain
    [group] = content.groups["base"]
    turns = (Message("system", "be brief"), Message("user", "<b>Well?</b>"))
    asked = Group(dataclasses.replace(group.prompt, messages=turns), group.completions)
    chat: Any = samples.pack(dataclasses.replace(content, groups={"base": [asked]})).prompts[0]
    assert chat["turns"] == [["system", "be brief"], ["user", "<b>Well?</b>"]]


def test_of_very_many_completions_the_first_are_shown_and_the_page_says_so(
    two_arms: ReportContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = of_texts(two_arms, "one", "two", "three", "two")
    samples_a_prompt = max(estimate.samples for estimate in content.summary.estimates)
    lists = len(content.summary.arms)
    assert samples.pack(content).shown is None
    monkeypatch.setattr(shown, "MOST", min(2 * lists, lists * samples_a_prompt - 1))
    packed = samples.pack(content)
    assert packed.shown == shown.MOST // lists
    rows = opened(packed.blocks[0], packed.words)["base"]["classes"]
    assert sum(row[1] for row in rows) == packed.shown
    assert rows[0][0] == "one"
    told = f"Of each prompt's completions under an arm, the first {packed.shown} are in this file"
    assert told in build_report(content)


def test_valid_answers_are_handed_to_the_page_where_a_prompt_states_any(two_arms: ReportContent) -> None:
    stated = dataclasses.replace(two_arms.groups["base"][0].prompt, valid=("King", "Rook|Castle"))
    assert samples._entry("p", [stated])["valid"] == ("King", "Rook|Castle")
    assert "valid" not in samples._entry("p", [dataclasses.replace(stated, valid=())])
