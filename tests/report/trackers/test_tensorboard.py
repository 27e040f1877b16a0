"""TensorBoard's event files, written and read back by its own reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evalkit.report.content.content import ReportContent
from evalkit.report.trackers import Record, Table
from evalkit.report.trackers.tensorboard import open_tracker
from tests.report.trackers.told import VALUE, run_told, training_told


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def text(found: EventAccumulator, name: str) -> str:
    [event] = found.Tensors(f"{name}/text_summary")
    return str(event.tensor_proto.string_val[0].decode())


def log(record: Record) -> list[str]:
    notes: list[str] = []
    open_tracker(None).log(record, notes.append)
    return notes


def test_a_runs_numbers_are_read_back(tmp_path: Path, two_arms: ReportContent) -> None:
    record = run_told(two_arms, tmp_path)
    assert log(record) == []
    found = read(tmp_path / "tensorboard")
    assert set(found.Tags()["scalars"]) == set(record.scalars)
    [point] = found.Scalars(VALUE)
    assert (point.step, point.value) == (0, pytest.approx(record.scalars[VALUE], rel=1e-6))
    assert text(found, "headline").startswith("tuned draws from a narrower range")
    assert text(found, "tags") == "nightly, v2"
    assert '"name": "creative"' in text(found, "config")
    assert len(text(found, "prompts").splitlines()) == 2 + len(record.table.rows if record.table else ())


def test_a_training_is_drawn_along_its_own_axis(tmp_path: Path) -> None:
    log(training_told(tmp_path))
    found = read(tmp_path / "tensorboard" / "ppo-beta-0.1")
    assert [(point.step, point.value) for point in found.Scalars("reward")] == [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert [point.step for point in found.Scalars("kl")] == [0, 1, 3]


def test_logging_again_replaces_what_was_there(tmp_path: Path) -> None:
    log(training_told(tmp_path))
    log(training_told(tmp_path))
    assert len(read(tmp_path / "tensorboard" / "ppo-beta-0.1").Scalars("reward")) == 4


def test_the_models_of_one_training_lie_side_by_side(tmp_path: Path) -> None:
    for name in ("ppo-beta-1", "ppo-beta-0.1"):
        log(replace(training_told(tmp_path), name=name))
    assert sorted(path.name for path in (tmp_path / "tensorboard").iterdir()) == ["ppo-beta-0.1", "ppo-beta-1"]


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "boards"))
    open_tracker("mine").log(training_told(tmp_path), lambda _: None)
    assert read(tmp_path / "boards" / "mine" / "ppo" / "ppo-beta-0.1").Tags()["scalars"] == ["reward", "kl"]


def test_a_table_that_is_too_long_is_cut_and_said(tmp_path: Path) -> None:
    rows = tuple((f"p|{place}", 1.0) for place in range(201))
    record = replace(training_told(tmp_path), group="", table=Table(("prompt_id", "x"), rows))
    [note] = log(record)
    assert note.startswith("tensorboard: the table holds the first 200 of 201 rows")
    told = text(read(tmp_path / "tensorboard"), "prompts").splitlines()
    assert told[2:4] == ["| p\\|0 | 1 |", "| p\\|1 | 1 |"]
    assert len(told) == 202
