"""All arms of a run are counted by one tokenizer, which their signatures name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evalkit.analysis.measure import measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.registry import parse
from evalkit.metrics.text_sets import portions, split_alike, words_of
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.score import score_file
from tests import ROOT

CASES = ROOT / "tests" / "cases"
SEA = ["大海是蓝色的。", "昨天我们看见了海。"]
ENGLISH = ["The sea is blue.", "We saw the sea yesterday."]


class Told(Quiet):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def group(prompt: str, texts: list[str]) -> Group:
    return Group(Prompt("p", prompt), tuple(Completion("p", i, text, (), (), "stop") for i, text in enumerate(texts)))


def test_texts_are_handed_on_in_portions() -> None:
    groups = [group(str(size), ["a"] * size) for size in (1, 2, 3, 0, 4, 1)]
    handed = list(portions(groups, 4))
    assert [one for portion in handed for one in portion] == [(one.prompt, one.texts) for one in groups]
    assert [[len(texts) for _, texts in portion] for portion in handed] == [[1, 2, 3], [0, 4], [1]]
    assert list(portions([])) == []


def test_an_arm_that_leaves_the_prompts_language_is_counted_as_its_baseline() -> None:
    told = Told()
    groups = split_alike({"base": [group("写一句话", SEA)], "tuned": [group("写一句话", ENGLISH)]}, "auto", told)
    assert {one.tokenizer for own in groups.values() for one in own} == {"zh"}
    assert [note.split(":")[0] for note in told.notes] == ["words are split by zh"]
    # ... and so it is when it is measured without its baseline.
    assert split_alike({"tuned": [group("写一句话", ENGLISH)]}, "auto", Quiet())["tuned"][0].tokenizer == "zh"


def test_spaced_texts_are_split_as_ever_and_nothing_is_said() -> None:
    told = Told()
    groups = split_alike({"base": [group("Write.", ENGLISH)]}, "auto", told)
    assert (words_of(groups), told.notes) == ("13a", [])
    assert groups["base"][0].words == group("Write.", ENGLISH).words


def test_parts_of_a_group_keep_its_tokenizer_and_words() -> None:
    whole = split_alike({"base": [group("写", [*SEA, "海"])]}, "auto", Quiet())["base"][0]
    assert whole.only([2]).words == (("海",),)
    for part in (whole.only([0]), whole.of((), ()), whole.having(baseline=None)):
        assert part.tokenizer == "zh"
    assert whole.having(baseline=None).words is whole.words


@pytest.mark.parametrize(
    ("metric", "tokenizer", "wanted"),
    [
        ("distinct_n", "zh", "distinct_n|n:2|tok:zh|k:2|v:1.0"),
        ("distinct_n", "13a", "distinct_n|n:2|tok:13a|k:2|v:1.0"),
        ("distinct_k", "13a", "distinct_k|k:0|threshold:0.65|enc:E|k:2|v:1.0"),
        ("distinct_k", "zh", "distinct_k|k:0|threshold:0.65|tok:zh|enc:E|k:2|v:1.0"),
        ("vendi", "zh", "vendi|q:1|enc:E|k:2|v:1.0"),
        ("compression_ratio", "zh", "compression_ratio|k:2|v:1.0"),
    ],
)
def test_a_signature_names_the_tokenizer_that_the_number_depends_on(metric: str, tokenizer: str, wanted: str) -> None:
    assert parse(metric).signature(2, "E", tokenizer=tokenizer) == wanted


def test_the_tokenizer_asked_for_stands_in_the_signatures() -> None:
    groups = split_alike({"base": [group("Write.", ENGLISH)]}, "char", Quiet())
    sampled = SampledArms([Arm("base", "base", None, None, None)], groups, 2)
    [length] = measure_groups([parse("length")], sampled, Quiet()).measured
    assert length.signature == "length|tok:char|k:2|v:1.0"
    assert length.values["base"].tolist() == [(13 + 21) / 2]


def test_chinese_sentences_are_told_apart_from_one_sentence_with_a_word_changed(tmp_path: Path) -> None:
    file = shutil.copy(CASES / "chinese.jsonl", tmp_path)
    summary = score_file(Path(file), ["self_bleu", "distinct_n", "distinct_k"], "div", Quiet()).summary
    found = {(one.metric, one.arm): one for one in summary.estimates}
    assert found["distinct_k", "div"].value == pytest.approx(4)
    assert found["distinct_k", "same"].value == pytest.approx(1)
    # By hand: 71 different pairs of characters in 71, and 25 in 72.
    assert found["distinct_n", "div"].value == pytest.approx(1)
    assert found["distinct_n", "same"].value == pytest.approx(25 / 72)
    assert found["self_bleu", "div"].value == pytest.approx(0, abs=0.05)
    assert found["self_bleu", "same"].value == pytest.approx(0.87, abs=0.05)
    assert all("|tok:zh|" in one.signature for one in summary.estimates)
    assert all("|tok:zh|" in one.signature for one in summary.curves if one.name in ("classes", "distinct_ngrams"))
    # Of words none: the case asks few prompts in one wording, gives all of them the same texts, which begin
    # alike in one arm, and in the other no two are alike.
    assert {alarm.kind for alarm in summary.alarms} == {
        "few prompts",
        "paraphrases",
        "same answer",
        "opening",
        "ceiling",
    }


def test_where_13a_is_asked_for_chinese_an_alarm_says_that_words_cannot_be_told() -> None:
    summary = score_file(CASES / "chinese.jsonl", ["distinct_n"], "div", Quiet(), "13a").summary
    told = {alarm.arm: alarm.message for alarm in summary.alarms if alarm.kind == "words"}
    assert set(told) == {"div", "same"}
    assert "on 10 of 10 prompts" in told["div"]
    assert "tokenizer 13a cannot tell words there" in told["div"]
