"""What is packed comes out as it was, and takes little room."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.evidence import Evidence, Meanings
from evalkit.records import Completion, Group
from evalkit.report import samples
from evalkit.report.content import ReportContent

from .blocks import opened

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
    counted = dataclasses.replace(content, evidence=Evidence(meanings=Meanings("distinct_k", 0.65, classes)))
    rows = opened(*_first(counted))["base"]["classes"]
    assert [(text, count, row[-1]) for text, count, *row in rows] == [("yes", 2, 0), ("indeed", 1, 0), ("no", 1, 1)]


def _first(content: ReportContent) -> tuple[str, tuple[str, ...]]:
    packed = samples.pack(content)
    return packed.blocks[0], packed.words
