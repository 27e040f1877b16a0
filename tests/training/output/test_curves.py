"""Curves: one line a row, the same after a crash as without one, and TensorBoard beside them."""

from __future__ import annotations

import json
import math
import resource
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import StoreError
from evalkit.training.output import curves
from evalkit.training.output.curves import Curves

NUMBERS = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.floats())


@pytest.fixture(autouse=True)
def _forget_notes() -> None:
    curves._summary_writer.cache_clear()


@pytest.fixture
def _no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def log(folder: Path, begin: int, end: int, key: str = "update") -> None:
    with Curves(folder, begin) as opened:
        for step in range(begin, end):
            opened.add({key: step, "reward": step / 2})


@pytest.mark.usefixtures("_no_tensorboard")
def test_rows_come_back_as_they_were_added(tmp_path: Path) -> None:
    with Curves(tmp_path / "new" / "beta-1.work", 0) as opened:
        opened.add({"update": 0, "reward": 0.25, "episodes": 64, "gold": None})
        assert read_curves(tmp_path / "new" / "beta-1.work") == [
            {"update": 0, "reward": 0.25, "episodes": 64, "gold": None}
        ]


def test_a_training_that_has_not_begun_has_no_rows(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == []


@pytest.mark.usefixtures("_no_tensorboard")
def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    with Curves(tmp_path, 0) as opened:
        opened.add({"update": 0, "kl": math.nan, "max_ratio": math.inf, "low": -math.inf})
    assert json.loads((tmp_path / "curves.jsonl").read_text()) == {
        "update": 0, "kl": None, "max_ratio": None, "low": None,
    }  # fmt: skip


@pytest.mark.usefixtures("_no_tensorboard")
@settings(max_examples=60)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from("abc"), NUMBERS), min_size=1, max_size=8),
    key=st.sampled_from(["update", "step"]),
    data=st.data(),
)
def test_a_resumed_training_leaves_the_same_file_as_an_unbroken_one(
    rows: list[dict[str, float | int | None]], key: str, data: st.DataObject
) -> None:
    keyed = [{key: step, **row} for step, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as root:
        whole, broken = Path(root) / "whole", Path(root) / "broken"
        for folder in (whole, broken):
            with Curves(folder, 0) as opened:
                for row in keyed:
                    opened.add(row)
        content = (whole / "curves.jsonl").read_bytes()
        killed_at = data.draw(st.integers(0, len(content)), "bytes that reached the disk")
        (broken / "curves.jsonl").write_bytes(content[:killed_at])
        saved = data.draw(st.integers(0, content[:killed_at].count(b"\n")), "step of the saved state")
        assert read_curves(broken) == read_curves(whole)[: content[:killed_at].count(b"\n")]
        with Curves(broken, saved) as opened:
            assert read_curves(broken) == read_curves(whole)[:saved]
            for row in keyed[saved:]:
                opened.add(row)
        assert (broken / "curves.jsonl").read_bytes() == content


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_has_the_numbers_as_soon_as_they_are_added(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with Curves(tmp_path, 0) as opened:
        opened.add({"update": 0, "reward": 0.5, "gold": None, "kl": math.nan})
        opened.add({"update": 1, "reward": 0.75, "gold": 2, "kl": 1.5})
        assert scalars(tmp_path) == {"reward": [(0, 0.5), (1, 0.75)], "gold": [(1, 2.0)], "kl": [(1, 1.5)]}


def test_tensorboard_forgets_what_a_resumed_training_does_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard reads files in the order of their names: by the second, and within one as texts, "10" before "9"."""
    writers = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    monkeypatch.setattr(writers._global_uid, "_value", 9)
    log(tmp_path, 0, 6)
    # What goes on is another process, and begins later than in the same second.
    monkeypatch.setattr(writers, "time", SimpleNamespace(time=lambda: time.time() + 2))
    with Curves(tmp_path, 3) as opened:
        opened.add({"update": 3, "reward": 9.0})
    assert scalars(tmp_path) == {"reward": [(0, 0.0), (1, 0.5), (2, 1.0), (3, 9.0)]}


@pytest.mark.usefixtures("_no_tensorboard")
def test_without_tensorboard_the_user_is_told_once_and_the_curves_are_written(tmp_path: Path) -> None:
    notes: list[str] = []
    tell = notes.append
    for beta in ("1", "0.1"):
        with Curves(tmp_path / beta, 0, tell) as opened:
            opened.add({"update": 0, "reward": 1.0})
        assert read_curves(tmp_path / beta) == [{"update": 0, "reward": 1.0}]
    assert len(notes) == 1
    assert "evalkit[train]" in notes[0]


@pytest.mark.usefixtures("_no_tensorboard")
def test_a_full_disk_is_said_and_the_rows_before_are_kept(tmp_path: Path) -> None:
    log(tmp_path, 0, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "curves.jsonl").stat().st_size + 5, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"curves\.jsonl could not be written"):
            log(tmp_path, 1, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_curves(tmp_path) == [{"update": 0, "reward": 0.0}]
    log(tmp_path, 1, 3)
    assert [row["update"] for row in read_curves(tmp_path)] == [0, 1, 2]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Curves(tmp_path / "file" / "work", 0)
