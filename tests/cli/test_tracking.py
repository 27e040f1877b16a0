"""--log on the commands: tried before the work, told after it, and never at the cost of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.report.trackers import Record
from evalkit.report.trackers.send import Note
from evalkit.run import Run
from evalkit.runs.summary import read_summary
from tests.finished import finished_run

Write = Callable[..., Path]
pytest.importorskip("tensorboard")


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("runs") / "one", {"base": 8, "tuned": 3})


@pytest.fixture
def sampled(finished: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sampled: nothing is, the run is there in no time."""
    began: list[str] = []

    def run_suite(*_: object) -> Run:
        began.append("sampling")
        return Run(finished, read_summary(finished / "summary.json"), 0)

    monkeypatch.setattr("evalkit.run.run_suite", run_suite)
    return began


def broken(_: object, record: Record, note: Note) -> str:
    raise ConnectionError("no network")


def events(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("events.out.*")]


def test_a_run_is_logged_when_it_is_done(
    write_suite: Write, sampled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "boards"))
    result = call("run", write_suite(), "--log", "tensorboard", "--log-project", "mine", "--quiet")
    assert (result.exit_code, sampled) == (0, ["sampling"])
    assert len(events(tmp_path / "boards" / "mine" / "one")) == 1
    assert result.stdout.endswith("report.html\n")
    assert "note: logged to tensorboard: " in result.stderr


def test_a_tracker_that_fails_at_the_end_is_a_line_and_the_run_is_as_it_was(
    write_suite: Write, sampled: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.report.trackers.tensorboard.Tensorboard.log", broken)
    result = call("run", write_suite(), "--log", "tensorboard", "--quiet")
    assert (result.exit_code, sampled) == (0, ["sampling"])
    assert result.stdout == f"{finished / 'report.html'}\n"
    assert result.stderr == (
        "note: one is not logged to tensorboard: no network; nothing is lost: "
        f"evalkit log {finished} --to tensorboard\n"
    )


def test_a_tracker_that_cannot_be_used_stops_the_command_before_the_work(
    write_suite: Write, sampled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "file"))
    result = call("run", write_suite(), "--log", "tensorboard")
    assert (result.exit_code, sampled) == (2, [])
    assert result.stderr.startswith("evalkit: tensorboard cannot be used: ")


def test_a_run_that_lost_its_page_is_kept_and_said(
    write_suite: Write, sampled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.run.run_suite", lambda *_: Run(tmp_path, read_summary_of(tmp_path), 0))
    result = call("run", write_suite(), "--log", "tensorboard", "--quiet")
    assert result.exit_code == 0
    assert "note: nothing is logged: " in result.stderr


def read_summary_of(_: Path) -> None:
    return None


def test_a_project_without_a_tracker_is_refused(write_suite: Write) -> None:
    assert "--log-project goes with --log" in call("run", write_suite(), "--log-project", "x").output


def test_texts_that_are_scored_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "boards"))
    rows = [{"prompt_id": p, "prompt": p, "completion": f"a {p} {place}"} for p in "xyz" for place in range(2)]
    (tmp_path / "texts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    result = call("score", tmp_path / "texts.jsonl", "--metrics", "length", "--json", "--log", "tensorboard")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["suite"] == "texts"
    assert len(events(tmp_path / "boards" / "texts")) == 1


def test_a_finished_run_is_logged_later(finished: Path) -> None:
    result = call("log", finished, "--to", "tensorboard")
    assert result.exit_code == 0
    assert len(events(finished / "tensorboard")) == 1


def test_logging_later_and_failing_is_a_failure(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.report.trackers.tensorboard.Tensorboard.log", broken)
    result = call("log", finished, "--to", "tensorboard")
    assert result.exit_code == 2
    assert "evalkit: one is not logged to tensorboard: no network" in result.stderr


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    result = call("log", tmp_path, "--to", "tensorboard")
    assert result.exit_code == 2
    assert "has no run.json: it is no finished run" in result.stderr
