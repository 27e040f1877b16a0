"""A training's folder becomes a record a model, with the whole curves of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.errors import RecordsError
from evalkit.training.output.tracking import is_first_process, is_training, training_records


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A finished training of two models, one of which was moved away from the log beside it."""
    (tmp_path / "train.json").write_text(json.dumps({"state": "complete", "config": {"name": "x"}, "versions": {}}))
    (tmp_path / "training.html").write_text("<p>the page", encoding="utf-8")
    for folder, reward in {"beta-1.work": 1.0, "beta-1": 9.0, "beta-0.1": 2.0}.items():
        rows = [{"update": step, "reward": reward + step, "kl": 0.1} for step in range(3)]
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "curves.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def test_each_model_is_a_record_in_one_group(trained: Path) -> None:
    records = training_records(trained)
    assert [record.name for record in records] == [f"{trained.name}-beta-0.1", f"{trained.name}-beta-1"]
    assert {record.group for record in records} == {trained.name}
    assert [[row["reward"] for row in record.curves] for record in records] == [[2.0, 3.0, 4.0], [1.0, 2.0, 3.0]]
    assert records[0].page == "<p>the page"
    assert records[0].config["model"] == "beta-0.1"
    assert records[0].headline.startswith("beta-0.1: reward rose from 2.00 to 4.00")


def test_a_training_that_goes_on_is_not_logged_yet(trained: Path) -> None:
    (trained / "train.json").write_text(json.dumps({"state": "running"}))
    with pytest.raises(RecordsError, match="is not finished: give its `evalkit train` again with --out"):
        training_records(trained)


def test_a_run_is_no_training(tmp_path: Path, trained: Path) -> None:
    assert is_training(trained)
    assert not is_training(tmp_path / "elsewhere")


def test_one_of_many_processes_speaks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert is_first_process()
    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()
