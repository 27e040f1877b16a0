"""Trackio's own database on this machine, written and read back; left out where trackio is not installed."""

from __future__ import annotations

import os
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

os.environ["TRACKIO_DIR"] = tempfile.mkdtemp()  # read once, when trackio is imported
pytest.importorskip("trackio.artifact")  # a folder that is named so, and no more, is no trackio

from trackio import utils
from trackio.sqlite_storage import SQLiteStorage

from evalkit.errors import TrackerError
from evalkit.report.content.content import ReportContent
from evalkit.report.trackers import Record, Table, open_trackers
from evalkit.report.trackers import trackio as ours
from tests.report.trackers.told import PAGE, VALUE, run_told, training_told

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def log(record: Record, project: str) -> list[str]:
    notes: list[str] = []
    [tracker] = open_trackers(["trackio"], project)
    tracker.log(record, notes.append)
    return notes


def rows(project: str, run: str) -> list[dict[str, Any]]:
    return list(SQLiteStorage.get_logs(project, run))


def project() -> str:
    """One that no other test writes to."""
    return f"project-{uuid.uuid4().hex}"


def test_a_runs_numbers_table_and_page_are_read_back(tmp_path: Path, two_arms: ReportContent) -> None:
    record, name = run_told(two_arms, tmp_path), project()
    assert log(record, name) == []
    [row] = rows(name, "a run")
    assert {key: row[key] for key in record.scalars} == pytest.approx(dict(record.scalars))
    assert VALUE in row
    assert row["headline"]["_value"] == record.headline
    assert record.table is not None
    assert row["prompts"]["_value"] == [
        dict(zip(record.table.columns, cells, strict=True)) for cells in record.table.rows
    ]
    [page] = (utils.MEDIA_DIR / name).rglob("*.html")
    assert page.read_text(encoding="utf-8") == PAGE
    config = SQLiteStorage.get_run_config(name, "a run")
    assert config is not None
    assert config["suite"]["sampling"]["n"] == 4
    assert config["tags"] == ["nightly", "v2"]


def test_a_training_is_drawn_along_its_own_axis() -> None:
    name = project()
    log(training_told(Path("x")), name)
    told = [row for row in rows(name, "ppo-beta-0.1") if "reward" in row]
    assert [(row["step"], row["reward"]) for row in told] == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]


def test_a_table_that_is_too_long_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "ROWS", 2)
    table = Table(("prompt_id",), (("a",), ("b",), ("c",)))
    name = project()
    assert log(replace(training_told(Path("x")), table=table), name) == [
        "trackio: the table holds the first 2 of 3 rows"
    ]
    assert rows(name, "ppo-beta-0.1")[-1]["prompts"]["_value"] == [{"prompt_id": "a"}, {"prompt_id": "b"}]


def test_a_server_that_is_not_there_is_named_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://127.0.0.1:9/?write_token=x")
    with pytest.raises(TrackerError, match=r"trackio cannot be used: .*refused"):
        open_trackers(["trackio"], None)
