"""Weights & Biases offline: the very file that `wandb sync` would send, read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wandb")

import wandb
from wandb.proto.wandb_internal_pb2 import Record as Sent

from evalkit.errors import TrackerError
from evalkit.report.content.content import ReportContent
from evalkit.report.trackers import Record, Table, open_trackers
from evalkit.report.trackers import wandb as ours
from tests.report.trackers.told import PAGE, run_told, training_told

BLOCK, HEADER, PIECE = 32768, 7, 7
"""Bytes of a block of the log format (LevelDB's), of the file's own head, and of the head of a piece of a record."""


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_TAGS", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield
    wandb.teardown()  # it reads its environment once a process


def sent(folder: Path) -> list[Sent]:
    wandb.teardown()  # until its service has gone, the file may lack its end
    [file] = folder.glob("wandb/offline-run-*/run-*.wandb")
    return [Sent.FromString(record) for record in records(file.read_bytes())]


def records(log: bytes) -> Iterator[bytes]:
    place, parts = HEADER, b""
    while place + PIECE <= len(log):
        if BLOCK - place % BLOCK < PIECE:
            place += BLOCK - place % BLOCK
            continue
        size, kind = int.from_bytes(log[place + 4 : place + 6], "little"), log[place + 6]
        parts += log[place + PIECE : place + PIECE + size]
        place += PIECE + size
        if kind in (1, 4):  # whole, or the last piece
            yield parts
            parts = b""


def history(records: list[Sent]) -> list[dict[str, Any]]:
    rows = [record.history.item for record in records if record.WhichOneof("record_type") == "history"]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]


def log(record: Record, project: str | None = None) -> list[str]:
    notes: list[str] = []
    [tracker] = open_trackers(["wandb"], project)
    notes.append(tracker.log(record, notes.append))
    return notes


def test_a_runs_numbers_table_and_page_lie_in_the_file(tmp_path: Path, two_arms: ReportContent) -> None:
    record = run_told(two_arms, tmp_path)
    [place] = log(record, "mine")
    found = sent(tmp_path)
    [run] = [one.run for one in found if one.WhichOneof("record_type") == "run"][-1:]
    assert (run.project, run.display_name, run.job_type) == ("mine", "a run", "run")
    assert set(run.tags) == {"nightly", "v2"}
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["suite"] == {"name": "creative", "sampling": {"n": 4}}
    [row] = history(found)
    assert {key: row[key] for key in record.scalars} == pytest.approx(dict(record.scalars))
    assert "wandb sync" in place
    told = {item.key or item.nested_key[0]: item.value_json for one in found for item in one.summary.update}
    assert json.loads(told["headline"]) == record.headline
    [page] = tmp_path.glob("wandb/offline-run-*/files/media/html/*.html")
    assert page.read_text(encoding="utf-8") == PAGE
    [table] = tmp_path.glob("wandb/offline-run-*/files/media/table/prompts*.json")
    told_table = json.loads(table.read_text(encoding="utf-8"))
    assert record.table is not None
    assert told_table == {"columns": list(record.table.columns), "data": [list(row) for row in record.table.rows]}


def test_a_training_is_drawn_along_its_own_axis(tmp_path: Path) -> None:
    log(training_told(tmp_path))
    found = sent(tmp_path)
    rows = [row for row in history(found) if "reward" in row]
    assert [(row["update"], row["reward"]) for row in rows] == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert [row["update"] for row in rows if "kl" in row] == [0, 1, 3]
    axes = {one.metric.name or one.metric.glob_name: one.metric.step_metric for one in found if one.HasField("metric")}
    assert axes["*"] == "update"


def test_the_environment_of_the_tracker_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WANDB_PROJECT": "theirs", "WANDB_NAME": "named", "WANDB_TAGS": "one,two"}.items():
        monkeypatch.setenv(name, value)
    log(replace(training_told(tmp_path), tags=("three",)))
    [run] = [one.run for one in sent(tmp_path) if one.WhichOneof("record_type") == "run"][-1:]
    assert (run.project, run.display_name) == ("theirs", "named")
    assert set(run.tags) == {"one", "two", "three"}


def test_a_table_that_is_too_long_is_cut_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "ROWS", 2)
    table = Table(("prompt_id",), (("a",), ("b",), ("c",)))
    note, _ = log(replace(training_told(tmp_path), table=table))
    assert note == "wandb: the table holds the first 2 of 3 rows"
    [file] = tmp_path.glob("wandb/offline-run-*/files/media/table/prompts*.json")
    assert json.loads(file.read_text(encoding="utf-8"))["data"] == [["a"], ["b"]]


def test_whoever_is_not_logged_in_hears_it_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(TrackerError, match=r"wandb cannot be used: nobody is logged in; .*WANDB_MODE=offline"):
        open_trackers(["wandb"], None)
