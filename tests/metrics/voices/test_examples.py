"""Examples of voices: from the suite or a file; every mistake is named with file, line and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.errors import SuiteError
from evalkit.suite.schema import Overrides, load_suite

TEXTS = {voice: [f"{voice} {index}" for index in range(5)] for voice in ("professor", "rude")}
METRICS = "metrics: [distinct_n, length]"
ADDED = ["voice_share|voice:professor", "voice_share|voice:rude", "voice_entropy", "voice_shift"]


def with_voices(voices: object, metrics: str = METRICS) -> tuple[str, str]:
    return METRICS, f"{metrics}\nvoices: {json.dumps(voices)}"


def test_voices_bring_their_measures(write_suite: Callable[..., Path]) -> None:
    suite = load_suite(write_suite(with_voices(TEXTS)))
    assert [str(measure) for measure in suite.metrics] == ["distinct_n", "length", *ADDED]
    assert suite.voices["rude"] == tuple(TEXTS["rude"])


def test_measures_that_are_listed_are_not_added_again(write_suite: Callable[..., Path]) -> None:
    metrics = "metrics: [voice_shift, {voice_heard: {voice: rude}}]"
    found = load_suite(write_suite(with_voices(TEXTS, metrics)))
    assert [str(measure) for measure in found.metrics] == ["voice_shift", "voice_heard|voice:rude", *ADDED[:3]]


def test_a_file_of_voices_is_the_same(write_suite: Callable[..., Path]) -> None:
    path = write_suite((METRICS, f"{METRICS}\nvoices_from: voices.jsonl"))
    rows = [{"voice": voice, "text": text} for voice, texts in TEXTS.items() for text in texts]
    (path.parent / "voices.jsonl").write_text("\n".join(map(json.dumps, rows)))
    suite = load_suite(path, Overrides(samples=2))
    assert suite.voices == {voice: tuple(texts) for voice, texts in TEXTS.items()}
    assert [str(measure) for measure in suite.metrics][2:] == ADDED


def test_keys_of_a_voice_file_that_are_not_read_are_noted(write_suite: Callable[..., Path]) -> None:
    path = write_suite((METRICS, f"{METRICS}\nvoices_from: voices.jsonl"))
    rows = [{"voice": voice, "text": text, "wieght": 2} for voice, texts in TEXTS.items() for text in texts]
    (path.parent / "voices.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told: list[str] = []
    load_suite(path, notice=told.append)
    assert told == [f"{path.parent / 'voices.jsonl'}: not read: 'wieght'; read: voice, text"]


def test_a_suite_without_voices_has_no_measures_of_them(write_suite: Callable[..., Path]) -> None:
    assert [str(measure) for measure in load_suite(write_suite()).metrics] == ["distinct_n", "length"]


@pytest.mark.parametrize(
    ("voices", "words"),
    [
        pytest.param({"rude": TEXTS["rude"]}, r":10: voices: found 1; .* two voices or more", id="one voice"),
        pytest.param({}, ":10: voices: found 0", id="no voice"),
        pytest.param(TEXTS | {"rude": ["a", "b"]}, r":10: voices\.rude: found 2 examples; .* 5 or more", id="too few"),
        pytest.param(TEXTS | {"rude": [*"abcd", "professor 0 "]}, r":10: .*also stands under professor", id="both"),
        pytest.param(TEXTS | {"rude": [*"abcd", " "]}, r":10: voices\.rude: an example is blank", id="blank"),
        pytest.param(TEXTS | {"a|b": ["a"]}, ":10: voices", id="a name that no measure could hold"),
        pytest.param(TEXTS | {"rude": [True]}, r":10: voices\.rude\[0\]: found [Tt]rue; .*text", id="no text"),
    ],
)
def test_what_no_classifier_can_learn_from_is_refused(
    write_suite: Callable[..., Path], voices: object, words: str
) -> None:
    with pytest.raises(SuiteError, match=rf"suite\.yaml{words}"):
        load_suite(write_suite(with_voices(voices)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"voice": "a"}', r"voices\.jsonl:1: found the keys voice; a row is voice and text"),
        ('{"voice": "a|b", "text": "t"}', r"voices\.jsonl:1: voice: found 'a\|b'"),
        ("no JSON", r"suite\.yaml:10: voices_from: .*voices\.jsonl:1: not valid JSON"),
        ("", r"suite\.yaml:10: voices: found 0"),
    ],
)
def test_a_file_s_mistakes_are_named_by_line(write_suite: Callable[..., Path], line: str, words: str) -> None:
    path = write_suite((METRICS, f"{METRICS}\nvoices_from: voices.jsonl"))
    (path.parent / "voices.jsonl").write_text(line)
    with pytest.raises(SuiteError, match=words):
        load_suite(path)


def test_a_file_that_is_not_there_is_named(write_suite: Callable[..., Path]) -> None:
    with pytest.raises(SuiteError, match=r"suite\.yaml:10: voices_from: there is no file .*nowhere\.jsonl$"):
        load_suite(write_suite((METRICS, f"{METRICS}\nvoices_from: nowhere.jsonl")))


def test_measures_of_voices_need_voices(write_suite: Callable[..., Path]) -> None:
    with pytest.raises(SuiteError, match=r"suite\.yaml:9: metrics\[0\]: voice_entropy needs the suite's `voices`"):
        load_suite(write_suite((METRICS, "metrics: [voice_entropy]")))
    metrics = "metrics: [{voice_share: {voice: poet}}]"
    with pytest.raises(SuiteError, match="no voice 'poet'; its voices: professor, rude"):
        load_suite(write_suite(with_voices(TEXTS, metrics)))
