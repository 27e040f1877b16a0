"""A list of phrases, in a suite or in a file: read, and every mistake named by its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import evalkit as ek
from evalkit.cli.main import main
from evalkit.errors import SuiteError
from evalkit.suite.phrases import MOST, check_phrases, read_phrases
from evalkit.suite.schema import load_suite
from tests import ROOT

METRICS = "metrics: [distinct_n, length]"


def test_a_file_has_one_a_line_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "tics.txt"
    path.write_text("\ufeff# ours\n\n  delve into \r\nTapestry\n# no more\n", encoding="utf-8")
    assert read_phrases(path) == ("delve into", "Tapestry")


def test_a_suite_states_them_or_names_a_file(write_suite: Callable[..., Path]) -> None:
    stated = write_suite((METRICS, f"{METRICS}\nphrases: [delve, a tapestry of]"))
    assert load_suite(stated).phrases == ("delve", "a tapestry of")
    named = write_suite((METRICS, f"{METRICS}\nphrases_from: tics.txt"))
    (named.parent / "tics.txt").write_text("delve\n")
    suite = load_suite(named)
    assert (suite.phrases, suite.phrases_from) == (("delve",), None)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("phrases: [delve, ' ']", r"suite\.yaml:10: phrases\[1\]: the phrase ' ' has no word"),
        (
            "phrases: [a b, A  b]",
            r"suite\.yaml:10: phrases\[1\]: the phrase 'A  b' is there already, at .*phrases\[0\]",
        ),
        ("phrases: [a]\nphrases_from: x.txt", "either in `phrases` or in the file that `phrases_from` names"),
        ('phrases: [delve, "de\\0lve"]', r"suite\.yaml:10: phrases\[1\]: the phrase 'de\\x00lve' holds a NUL byte"),
        (f"phrases: [delve, {'de ' * 200}]", r"suite\.yaml:10: phrases\[1\]: the phrase 'de .*…' has 599 letters"),
        ("phrases_from: nowhere.txt", r"suite\.yaml:10: phrases_from: there is no file .*nowhere\.txt; it is to have"),
        ("phrases_from: .", r"suite\.yaml:10: phrases_from: .* cannot be read: Is a directory"),
    ],
)
def test_a_suites_mistakes_are_named(write_suite: Callable[..., Path], keys: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        load_suite(write_suite((METRICS, f"{METRICS}\n{keys}")))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"# only\n\n", r"tics\.txt has no phrase"),
        (b"delve\n# so\nDelve\n", r"tics\.txt:3: the phrase 'Delve' is there already, at .*tics\.txt:1"),
        (b"ok\n<skipped>\n", r"tics\.txt:2: the phrase '<skipped>' has no word"),
        (b"ok\nde\0lve\n", r"tics\.txt:2: the phrase 'de\\x00lve' holds a NUL byte, .* take it out"),
        (
            b"ok\n" + b"word " * 100_000,
            r"tics\.txt:2: the phrase 'word .{0,50}…' has 499,999 letters; .* has 500 at most",
        ),
        (b"\xff\xfe", r"tics\.txt: not UTF-8 \(byte 1\)"),
    ],
)
def test_a_files_mistakes_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "tics.txt"
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=words):
        read_phrases(path)


def test_a_dictionary_is_no_list() -> None:
    with pytest.raises(SuiteError, match=r"line 1000: 1,001 phrases are listed; a list has 1,000 at most"):
        check_phrases([f"w{place}" for place in range(MOST + 1)], lambda index: f"line {index}")


def test_the_example_that_ships_is_a_list() -> None:
    assert "tapestry" in read_phrases(ROOT / "suites" / "overused-phrases.txt")


def test_score_takes_a_list_on_the_command_line_and_in_python(tmp_path: Path) -> None:
    texts = {"old": {f"p{row}": ["rain fell"] * 2 for row in range(9)}}
    texts["new"] = {f"p{row}": ["we delve into rain", "rain"] for row in range(9)}
    rows = [
        {"prompt_id": prompt, "prompt": prompt, "completion": text, "arm": arm}
        for arm, prompts in texts.items()
        for prompt, of_prompt in prompts.items()
        for text in of_prompt
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "tics.txt").write_text("delve into\n")
    command = [
        "score",
        str(tmp_path / "texts.jsonl"),
        "--metrics",
        "length",
        "--json",
        "--phrases",
        str(tmp_path / "tics.txt"),
    ]
    told = CliRunner().invoke(main, command, catch_exceptions=False)
    by_arm = {use["arm"]: use for use in json.loads(told.stdout)["words"]["phrases"] if use["phrase"]}
    assert by_arm["new"]["share"]["value"] == 0.5
    assert by_arm["new"]["share_gap"]["value"] == 0.5
    assert by_arm["old"]["times"] == 0
    words = ek.score(texts, ["length"], phrases="delve into").content.summary.words
    assert words is not None
    assert {use.arm: use.times for use in words.phrases if use.phrase} == {"old": 0, "new": 9}
    with pytest.raises(SuiteError, match=r"phrases\[0\]: the phrase '' has no word"):
        ek.score(texts, ["length"], phrases=[""])
