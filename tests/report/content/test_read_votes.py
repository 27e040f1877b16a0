"""Votes that lie beside a run or are named to `evalkit report` come into its page; holds `read.py` and the command."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.preferences.active_choice import ActiveChooser
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.annotation_files import write_annotation_rows
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.report.content.asked_people import ANNOTATIONS
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from tests.finished import finished_run

ARMS = {"base": 8, "tuned": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return finished_run(tmp_path_factory.mktemp("voted") / "run", ARMS)


@pytest.fixture(scope="module")
def votes(run: Path) -> Path:
    """Of six raters who all choose the tuned arm, on pairs that the active choice drew."""
    content, generator = read_content(run), random.Random(1)
    chooser = ActiveChooser(KnownPairs(content.groups, {"tuned": "base"}, content.scores))
    said: list[Annotation] = []
    for number in range(60):
        drawn = chooser.draw(said, generator)
        if drawn is None:
            break
        said.append(Annotation(drawn, f"r{number % 6}", "g", "a", "a", 2.0, "2026-01-01T00:00:00Z"))
    path = run.parent / "votes.jsonl"
    write_annotation_rows(path, said)
    return path


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_named_files_of_votes_come_into_the_page_and_the_terminal_says_what_is_clear(run: Path, votes: Path) -> None:
    page = run.parent / "page.html"
    result = call("report", run, "--annotations", votes, "--out", page)
    assert result.exit_code == 0
    assert "People prefer tuned over base: " in result.stdout
    assert 'id="people-plot"' in page.read_text(encoding="utf-8")


def test_a_run_that_nobody_was_asked_about_has_no_such_section(run: Path) -> None:
    assert read_content(run).people is None


def test_votes_go_with_one_run(run: Path, votes: Path) -> None:
    result = call("report", run, run, "--annotations", votes)
    assert result.exit_code == 2
    assert "--annotations goes with one RUN" in result.output


def test_a_file_that_is_not_there_is_one_line(run: Path) -> None:
    result = call("report", run, "--annotations", run / "none.jsonl")
    assert result.exit_code == 2
    assert f"there is no file {run / 'none.jsonl'}" in result.output


@pytest.fixture
def voted_run(votes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of the same draws, in whose folder the votes lie."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(votes.parent / "no cache"))
    folder = finished_run(tmp_path / "run", ARMS)
    shutil.copy(votes, folder / ANNOTATIONS)
    return folder


def test_a_run_made_again_in_its_folder_keeps_what_people_said(voted_run: Path) -> None:
    finished_run(voted_run, ARMS)
    page = (voted_run / "report.html").read_bytes()
    assert b'id="people-plot"' in page
    assert page == build_report(read_content(voted_run)).encode("utf-8", "replace")


def test_a_damaged_file_of_answers_costs_a_run_its_section_and_not_its_results(voted_run: Path) -> None:
    (voted_run / ANNOTATIONS).write_bytes(b"SQLite format 3\x00 and then nothing")
    finished_run(voted_run, ARMS)
    assert b'id="people-plot"' not in (voted_run / "report.html").read_bytes()
    result = call("report", voted_run)
    assert result.exit_code == 2
    assert f"{voted_run / ANNOTATIONS} " in result.output


def test_a_server_that_was_killed_as_it_began_leaves_an_empty_file_and_no_fault(voted_run: Path) -> None:
    (voted_run / ANNOTATIONS).write_bytes(b"")
    assert read_content(voted_run).people is None


def test_votes_of_another_run_are_told_of(votes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = finished_run(tmp_path / "other", {"base": 3, "tuned": 3})
    result = call("report", other, "--annotations", votes)
    assert result.exit_code == 0
    assert "none of 60 votes is on completions of" in result.stderr


def test_a_report_of_several_runs_says_where_people_are_heard(voted_run: Path, run: Path) -> None:
    contents = [read_content(folder) for folder in (run, voted_run)]
    assert any("What people said of" in note for note in merge([run, voted_run], contents).notes)
