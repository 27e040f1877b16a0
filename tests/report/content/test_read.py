"""A finished run is read back from its folder: all of it, without changing it, and a clear line where it cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.errors import RecordsError
from evalkit.report.content.read import read_content
from evalkit.runs.manifest import short_names
from tests.finished import finished_run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return finished_run(tmp_path_factory.mktemp("reopening") / "run", {"base": 8, "tuned": 2})


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(kept, tmp_path / "run"))


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_report_is_made_again_to_the_byte(run: Path) -> None:
    before = content_of(run)
    (run / "report.html").unlink()
    assert call("report", run).stdout == f"Report: {run / 'report.html'}\n"
    assert content_of(run) == before


def test_a_folder_that_cannot_be_written_can_be_read(run: Path, tmp_path: Path) -> None:
    """The lock of a run and what it mends are for those who run it."""
    (run / ".lock").unlink()
    before = content_of(run)
    result = call("report", run, "--out", tmp_path / "elsewhere.html")
    assert result.exit_code == 0
    assert content_of(run) == before
    assert (tmp_path / "elsewhere.html").read_bytes() == before["report.html"]


def test_scores_and_renderings_come_back(run: Path) -> None:
    content = read_content(run)
    assert set(content.groups) == set(content.rendered) == {"base", "tuned"}
    assert [group.prompt.answer for group in content.groups["tuned"]][:2] == ["rain", "tram"]
    assert [len(row) for row in content.scores["accuracy"]["base"]] == [4] * 8
    assert content.rendered["base"]["p0"].startswith("Prompt: Write a line about rain.")


def without_state(run: Path) -> None:
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(manifest | {"state": "running"}), encoding="utf-8")


def without_shards(run: Path) -> None:
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(manifest | {"shards": []}), encoding="utf-8")


def by_hand(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["estimates"][0]["value"] += 0.1
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def fewer_prompts(run: Path) -> None:
    asked = json.loads((run / "prompts.json").read_text(encoding="utf-8"))
    (run / "prompts.json").write_text(json.dumps(asked | {"prompts": asked["prompts"][1:]}), encoding="utf-8")


def shard(run: Path) -> Path:
    return min((run / "completions").glob("*.parquet"))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no run.json": (lambda run: (run / "run.json").unlink(), "has no run.json: it is no finished run"),
    "half a run.json": (lambda run: os.truncate(run / "run.json", 100), "run.json is damaged (Expecting value"),
    "a run.json of nothing": (
        lambda run: (run / "run.json").write_text("[]"),
        "run.json is damaged (it is no JSON object)",
    ),
    "a run that goes on": (without_state, "is not complete: give its `evalkit run` again"),
    "a run.json without shards": (without_shards, "names no shards of arm base, tuned"),
    "no prompts": (lambda run: (run / "prompts.json").unlink(), "has no prompts.json"),
    "other prompts": (
        lambda run: (run / "prompts.json").write_text('{"prompts": 3}'),
        "is not a run's folder that this",
    ),
    "no summary": (lambda run: (run / "summary.json").unlink(), "summary.json cannot be read: No such file"),
    "a summary changed by hand": (by_hand, "which is not the mean of its values: it was changed by hand"),
    "fewer prompts": (fewer_prompts, "prompts.json lacks prompt 'p0', which summary.json has"),
    "no scores": (lambda run: (run / "scores.parquet").unlink(), "scores.parquet cannot be read"),
    "half the scores": (lambda run: os.truncate(run / "scores.parquet", 50), "scores.parquet cannot be read"),
    "no evidence": (lambda run: (run / "evidence.json").unlink(), "has no evidence.json"),
    "half the evidence": (lambda run: os.truncate(run / "evidence.json", 9), "evidence.json is not what evalkit wrote"),
    "a shard gone": (lambda run: shard(run).unlink(), "is gone from"),
    "a shard cut": (lambda run: os.truncate(shard(run), 50), "is damaged (its checksum does not match)"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_missing_or_damaged_is_one_line_and_exit_code_2(run: Path, damage: str) -> None:
    harm, words = DAMAGE[damage]
    harm(run)
    before = content_of(run)
    result = call("report", run, "--quiet")
    assert result.exit_code == 2
    [line] = result.output.splitlines()
    assert words in line
    assert str(run) in line
    assert content_of(run) == before


def test_names_are_as_long_as_they_must_be() -> None:
    assert short_names([Path("/x/a/run"), Path("/x/b/other")]) == ["run", "other"]
    assert short_names([Path("/x/a/run"), Path("/x/b/run"), Path("/x/c")]) == ["a/run", "b/run", "x/c"]
    with pytest.raises(RecordsError, match=r"the same run is named twice: /x/b/\.\./a"):
        short_names([Path("/x/a"), Path("/x/b/../a")])


def test_a_page_that_cannot_be_written_is_exit_code_5(run: Path) -> None:
    result = call("report", run, "--out", run / "no" / "such.html")
    assert result.exit_code == 5
    assert "such.html could not be written" in result.output
