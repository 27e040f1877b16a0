"""Words of runs that are read back: counted where an older evalkit did not, and anew for several runs together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.plumbing.progress import QUIET
from evalkit.report.content.content import ReportContent
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.content.words import with_words
from evalkit.runs.summary import read_summary
from tests.finished import finished_run

PROMPTS = [{"id": f"p{row}", "text": f"Line {row}?"} for row in range(12)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return [
            finished_run(folder / name, {"base": 2, "tuned": various}, PROMPTS, metrics=["length"], phrases=["rain"])
            for name, various in (("one", 8), ("two", 4))
        ]


def test_a_finished_run_says_it_in_summary_and_page(runs: list[Path]) -> None:
    found = read_summary(runs[0] / "summary.json").words
    assert found is not None
    [change] = found.changes
    assert {"lamp", "door"} <= {shift.phrase for shift in change.gained}
    assert {word for shift in change.lost for word in shift.phrase.split()} == {"rain", "tram"}
    assert {use.phrase for use in found.phrases} == {"rain", ""}
    page = (runs[0] / "report.html").read_text(encoding="utf-8")
    assert "Which words were gained and lost?" in page
    assert "The phrases on your list" in page


def test_a_run_of_an_older_evalkit_gets_its_words_from_its_completions(runs: list[Path]) -> None:
    content = read_content(runs[0])
    assert content.summary.words is not None
    path = runs[0] / "summary.json"
    whole = path.read_text(encoding="utf-8")
    older = json.loads(whole)
    del older["words"]
    path.write_text(json.dumps(older), encoding="utf-8")
    try:
        anew = read_content(runs[0])
    finally:
        path.write_text(whole, encoding="utf-8")
    assert anew.summary.words is not None
    assert anew.summary.words.changes == content.summary.words.changes
    assert {quote.phrase for quote in anew.figure_data.quotes} == {
        shift.phrase for change in anew.summary.words.changes for shift in (*change.gained, *change.lost)
    }


def test_what_a_run_says_itself_is_left_as_it_is(runs: list[Path]) -> None:
    content = read_content(runs[0])
    assert with_words(content, QUIET) is content


def test_arms_of_several_runs_have_the_first_runs_baseline(runs: list[Path]) -> None:
    content = merge(runs, [read_content(run) for run in runs])
    words = content.summary.words
    assert words is not None
    pairs = {(change.arm, change.baseline) for change in words.changes}
    assert ("one/tuned", "one/base") in pairs
    assert ("two/tuned", "one/base") in pairs
    assert {use.phrase for use in words.phrases} == {"rain", ""}
    assert {use.arm for use in words.phrases} == {arm.name for arm in content.summary.arms}


def test_a_tokenizer_that_is_not_here_costs_the_section_and_is_told(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalkit.errors import MetricError
    from evalkit.report.content import words as module

    def missing(*_: object) -> None:
        raise MetricError("tokenizer 'ja-mecab' is not installed here")

    monkeypatch.setattr(module, "split_alike", missing)
    content = read_content(runs[0])
    silent: ReportContent = replace(content, summary=replace(content.summary, words=None))
    told: list[str] = []

    class Told(type(QUIET)):  # type: ignore[misc]
        def note(self, text: str) -> None:
            told.append(text)

    assert with_words(silent, Told()).summary.words is None
    assert told == ["the report says nothing of words gained and lost: tokenizer 'ja-mecab' is not installed here"]
