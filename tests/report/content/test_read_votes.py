"""Votes that lie beside a run or are named to `evalkit report` come into its page; holds `read.py` and the command."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.preferences.active_choice import ActiveChooser
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.annotation_files import write_annotation_rows
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.report.content.read import read_content
from tests.finished import finished_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return finished_run(tmp_path_factory.mktemp("voted") / "run", {"base": 8, "tuned": 2})


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
