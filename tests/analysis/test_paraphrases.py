"""Paraphrases that nobody declared are noticed by ids or by texts, and no shipped suite raises a false alarm."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.analysis.paraphrases import paraphrased
from evalkit.records import Prompt
from evalkit.suite.schema import load_suite
from tests import ROOT

FROM_THE_HUB = "noveltybench"
SUITES = sorted(path for path in (ROOT / "suites").glob("*.yaml") if path.stem != FROM_THE_HUB)
COUNTRIES = (
    "France", "Peru", "Kenya", "Norway", "Japan", "Ghana", "Chile", "Poland", "Italy",
    "Spain", "India", "Egypt", "Cuba", "Iran", "Iraq", "Malta", "Nepal", "Latvia",
)  # fmt: skip
WORDINGS = (
    "What is the capital of {}?",
    "Name the capital city of {}.",
    "Which city is the capital of {}?",
    "Tell me {}'s capital, please.",
)
QUESTIONS = (
    "why is the sky blue",
    "how do bees fly",
    "who wrote Faust",
    "what is rust",
    "when did Rome fall",
    "is pi odd",
)


def prompts(ids: list[str], texts: list[str] | None = None) -> list[Prompt]:
    return [Prompt(one, texts[place] if texts else f"w{place} v{place * 7}") for place, one in enumerate(ids)]


def kinds(asked: list[Prompt]) -> list[str]:
    return [alarm.kind for alarm in paraphrased(asked)]


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_no_shipped_suite_is_suspected(suite: Path) -> None:
    assert paraphrased(load_suite(suite).prompts) == []


@pytest.mark.parametrize("pattern", ["q{}-{}", "q0{}_p{}", "question-{}.{}", "Q{}{}", "item{}_paraphrase{}", "{}/{}"])
def test_ids_that_share_numbered_stems_are_an_alarm(pattern: str) -> None:
    parts = "ab" if pattern.endswith("}{}") or pattern == "q{}-{}" else "12"
    ids = [pattern.format(stem, part) for stem in range(1, 6) for part in parts]
    asked = prompts(ids, [f"w{place // 2} v{place // 2} u{place}" for place in range(10)])
    [alarm] = paraphrased(asked)
    assert alarm.kind == "paraphrases"
    assert "10 of 10 prompts look like paraphrases of others by their ids" in alarm.message
    assert repr(asked[0].id) in alarm.message
    assert repr(asked[1].id) in alarm.message


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param([f"row-{place:05d}" for place in range(40)], id="numbered rows"),
        pytest.param([f"{kind}-{place}" for kind in ("story", "poem", "fact") for place in range(10)], id="kinds"),
        pytest.param([f"aime2024-{place}" for place in range(15)], id="one stem"),
        pytest.param([f"mmlu_v{version}-{place}" for version in (1, 2) for place in range(20)], id="two large stems"),
        pytest.param(["q1-a", "q1-b"], id="too few to tell"),
    ],
)
def test_numbered_ids_of_other_kinds_are_none(ids: list[str]) -> None:
    assert kinds(prompts(ids)) == []


def test_texts_that_share_their_rare_words_are_an_alarm() -> None:
    texts = [wording.format(country) for country in COUNTRIES for wording in WORDINGS]
    [alarm] = paraphrased(prompts([f"row-{place}" for place in range(len(texts))], texts))
    assert "by their texts (such as 'row-0' and" in alarm.message


def test_one_frame_around_different_questions_is_none() -> None:
    texts = [f"Answer in one sentence, as an expert would: {question}?" for question in QUESTIONS]
    assert kinds(prompts([f"row-{place}" for place in range(len(texts))], texts)) == []
    assert kinds(prompts(list(COUNTRIES), [WORDINGS[0].format(country) for country in COUNTRIES])) == []


def test_texts_without_spaces_are_read_by_their_characters() -> None:
    same = [
        "法国的首都是哪里",
        "请问法国的首都是哪里",
        "日本最高的山叫什么",
        "日本最高的山叫什么名字",
        "谁写浮士德",
        "是谁写浮士德",
    ]
    assert kinds(prompts(list("abcdef"), same)) == ["paraphrases"]


@pytest.mark.parametrize(
    ("wordings", "countries"),
    [
        (("{}的首都是哪里？", "请说出{}的首都。", "哪座城市是{}的首都？"), ("法国", "日本", "埃及", "秘鲁", "挪威", "古巴")),
        (WORDINGS[:3], COUNTRIES[:6]),
    ],
    ids=["Chinese", "English"],
)  # fmt: skip
def test_six_questions_in_three_wordings_are_an_alarm(wordings: tuple[str, ...], countries: tuple[str, ...]) -> None:
    texts = [wording.format(country) for country in countries for wording in wordings]
    assert kinds(prompts([f"row-{place}" for place in range(len(texts))], texts)) == ["paraphrases"]


TOPICS = (
    "northern lights",
    "old harbour",
    "winter market",
    "night train",
    "salt mine",
    "paper moon",
    "rope bridge",
    "tin roof",
)
TASKS = (
    "Write a short poem on {}.", "List three facts about the {}", "Give me a joke with a {} in it", "Translate '{}' to French",
)  # fmt: skip


@pytest.mark.parametrize("pattern", ["topic{}-{}", "row{}{}"])
def test_different_tasks_about_one_topic_are_none(pattern: str) -> None:
    asked = [(place, part) for place in range(len(TOPICS)) for part in range(len(TASKS))]
    texts = [TASKS[part].format(TOPICS[place]) for place, part in asked]
    assert kinds(prompts([pattern.format(place, "abcd"[part]) for place, part in asked], texts)) == []


def test_where_a_cluster_is_named_nothing_is_suspected() -> None:
    asked = prompts(
        [f"q{s}-{part}" for s in range(5) for part in "ab"], [f"w{s} v{s} {p}" for s in range(5) for p in "ab"]
    )
    assert kinds(asked) == ["paraphrases"]
    assert kinds([*asked[:-1], replace(asked[-1], cluster="x")]) == []


def test_ten_thousand_prompts_take_well_under_a_second_or_two() -> None:
    asked = prompts(
        [f"row-{place}" for place in range(10_000)],
        [f"Write a poem about w{place} and v{place // 7} for x{place % 100}" for place in range(10_000)],
    )
    started = time.process_time()
    paraphrased(asked)
    assert time.process_time() - started < 3
