"""MLflow's own database file, written and read back by its client; left out where mlflow-skinny is not installed."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

from mlflow import MlflowClient
from mlflow.entities import Run

from evalkit.errors import TrackerError
from evalkit.report.content.content import ReportContent
from evalkit.report.trackers import Record, Table, open_trackers
from evalkit.report.trackers import mlflow as ours
from tests.report.trackers.told import PAGE, VALUE, run_told, training_told

# What its database layer warns of while it opens and closes files is its own affair.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)


def log(record: Record, project: str | None = None) -> list[str]:
    notes: list[str] = []
    [tracker] = open_trackers(["mlflow"], project)
    tracker.log(record, notes.append)
    return notes


def read(experiment: str = "evalkit") -> Run:
    found = MlflowClient().get_experiment_by_name(experiment)
    assert found is not None
    [run] = MlflowClient().search_runs([found.experiment_id])
    return run


def artifact(run: Run, name: str) -> str:
    return Path(MlflowClient().download_artifacts(run.info.run_id, name)).read_text(encoding="utf-8")


def test_a_runs_numbers_table_and_page_are_read_back(tmp_path: Path, two_arms: ReportContent) -> None:
    record = run_told(two_arms, tmp_path)
    assert log(record, "mine") == []
    run = read("mine")
    assert (run.info.run_name, run.info.status) == ("a run", "FINISHED")
    assert run.data.metrics == pytest.approx(dict(record.scalars))
    assert VALUE in run.data.metrics
    assert run.data.params["suite.sampling.n"] == "4"
    assert run.data.tags["mlflow.note.content"] == record.headline
    assert run.data.tags["evalkit.tags"] == "nightly, v2"
    assert artifact(run, "report.html") == PAGE
    assert json.loads(artifact(run, "config.json"))["suite"]["name"] == "creative"
    table = json.loads(artifact(run, "prompts.json"))
    assert record.table is not None
    assert table["columns"] == list(record.table.columns)
    for told, row in zip(table["data"], record.table.rows, strict=True):
        assert told[:2] == list(row[:2])
        assert told[2:] == pytest.approx(row[2:], abs=1e-9)  # it keeps ten decimals


def test_a_training_is_drawn_along_its_own_axis(tmp_path: Path) -> None:
    log(training_told(tmp_path))
    points = MlflowClient().get_metric_history(read().info.run_id, "reward")
    assert [(point.step, point.value) for point in points] == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]


def test_a_long_training_and_long_settings_are_taken_in_pieces(tmp_path: Path) -> None:
    curves = [{"step": step, "loss": 1.0, "other": 2.0} for step in range(600)]
    config = {f"key {place}": "x" * 7000 for place in range(101)}
    log(replace(training_told(tmp_path), curves=curves, config=config))
    run = read()
    assert len(MlflowClient().get_metric_history(run.info.run_id, "loss")) == 600
    assert len(run.data.params) == 101


def test_the_environment_names_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    log(training_told(tmp_path))
    assert read("theirs").info.run_name == "ppo-beta-0.1"


def test_a_run_that_breaks_off_is_marked_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(MlflowClient, "log_text", broken)
    with pytest.raises(OSError, match="the disk is full"):
        log(training_told(tmp_path))
    assert read().info.status == "FAILED"


def test_a_table_that_is_too_long_is_cut_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "ROWS", 2)
    table = Table(("prompt_id",), (("a",), ("b",), ("c",)))
    assert log(replace(training_told(tmp_path), table=table)) == ["mlflow: the table holds the first 2 of 3 rows"]
    assert json.loads(artifact(read(), "prompts.json"))["data"] == [["a"], ["b"]]


def test_a_server_that_is_not_there_is_named_before_the_work_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(TrackerError, match=r"mlflow cannot be used: API request to http://127.0.0.1:9/"):
        open_trackers(["mlflow"], None)
    assert time.monotonic() - began < 60
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
