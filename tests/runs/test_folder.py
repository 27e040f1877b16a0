"""A shard is there whole or not at all; a damaged one is named and redone; a full disk loses nothing."""

from __future__ import annotations

import datetime
import errno
import fcntl
import hashlib
import os
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import StoreError
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.files import cache_folder, write_atomically
from evalkit.records import Completion
from evalkit.runs import folder as store_module
from evalkit.runs.folder import Store, open_store
from evalkit.runs.manifest import Manifest
from evalkit.runs.shards import SHARD_SCHEMA, extras_of

COMPLETIONS = [
    Completion("a", 0, "Hello.\n\x00 \N{GRINNING FACE}", (1, 2), (-0.5, -1.25), "stop"),
    Completion("a", 1, "", (2,), (-0.125,), "stop"),
    Completion("b", 0, "no ids", (), (), "length"),
]
KEY = "k" * 32
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, notices: list[str]) -> Iterator[Store]:
    with open_store(tmp_path / "run", notices.append) as opened:
        yield opened


def shard(folder: Path) -> Path:
    [path] = folder.glob(f"{KEY}.*.parquet")
    return path


def test_what_is_put_is_read_back(store: Store) -> None:
    assert not store.holds(KEY)
    store.put(KEY, COMPLETIONS)
    assert store.holds(KEY)
    assert store.read(KEY) == COMPLETIONS


class Part(list[Completion]):
    """A list whose end can be seen."""


def test_a_shard_in_parts_is_the_shard_and_its_parts_are_not_held(store: Store) -> None:
    many = [replace(one, sample_index=place, thinking="hm") for place, one in enumerate(COMPLETIONS * 20)]
    seen: list[weakref.ref[Part]] = []

    def parts() -> Iterator[Part]:
        for start in range(0, len(many), 10):
            part = Part(many[start : start + 10])
            seen.append(weakref.ref(part))
            assert sum(one() is not None for one in seen) <= 2
            yield part

    store.put_parts(KEY, parts(), extras_of(many), "a", True, NOW)
    assert store.read(KEY) == many
    assert shard(cache_folder("completions")).name == shard(store.folder / "completions").name
    content = shard(store.folder / "completions").read_bytes()
    assert shard(store.folder / "completions").name == f"{KEY}.{hashlib.sha256(content).hexdigest()[:32]}.parquet"


def test_a_shard_in_one_part_is_the_same_to_the_byte(store: Store) -> None:
    store.put(KEY, COMPLETIONS, "a", sampled=NOW)
    whole = shard(store.folder / "completions").name
    shard(store.folder / "completions").unlink()
    store.put_parts(KEY, [COMPLETIONS], extras_of(COMPLETIONS), "a", True, NOW)
    assert shard(store.folder / "completions").name == whole


def test_a_lone_surrogate_cannot_spoil_a_shard(store: Store) -> None:
    store.put(KEY, [Completion("a", 0, "x\ud800y", (1,), (-1.0,), "stop")])
    assert store.read(KEY)[0].text == "x?y"


def test_another_run_finds_the_shard_in_the_cache(store: Store, tmp_path: Path) -> None:
    store.put(KEY, COMPLETIONS)
    with open_store(tmp_path / "other", pytest.fail) as other:
        assert other.holds(KEY)
        assert shard(tmp_path / "other" / "completions").exists()
        assert other.read(KEY) == COMPLETIONS


def test_a_run_folder_is_whole_without_the_cache(store: Store, tmp_path: Path) -> None:
    store.put(KEY, COMPLETIONS)
    shard(cache_folder("completions")).unlink()
    assert store.read(KEY) == COMPLETIONS


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_shard_is_seen_named_and_set_aside(store: Store, notices: list[str], damage: str) -> None:
    store.put(KEY, COMPLETIONS)
    path = shard(store.folder / "completions")
    shard(cache_folder("completions")).unlink()
    content = path.read_bytes()
    spoiled = {"cut": content[:-1], "flip": content[:50] + bytes([content[50] ^ 1]) + content[51:], "empty": b""}
    path.write_bytes(spoiled[damage])
    assert not store.holds(KEY)
    assert str(path) in notices[0]
    assert "sampled again" in notices[0]
    assert path.with_suffix(".damaged").read_bytes() == spoiled[damage]
    store.put(KEY, COMPLETIONS)
    assert store.read(KEY) == COMPLETIONS


def test_a_shard_damaged_in_the_run_is_taken_from_the_cache(store: Store, notices: list[str]) -> None:
    store.put(KEY, COMPLETIONS)
    path = shard(store.folder / "completions")
    content = path.read_bytes()
    path.unlink()  # the two are one file: give the run a damaged one of its own
    path.write_bytes(content[:-4])
    assert store.read(KEY) == COMPLETIONS
    assert len(notices) == 1


def test_a_shard_that_is_gone_is_an_error_not_an_empty_answer(store: Store) -> None:
    with pytest.raises(StoreError, match="is gone"):
        store.read(KEY)


def test_half_written_files_are_never_seen_and_are_swept_up(store: Store, tmp_path: Path) -> None:
    leftover = store.folder / "completions" / f".{KEY}.xyz.parquet.abc.part"
    leftover.write_bytes(b"half")
    assert not store.holds(KEY)
    again = tmp_path / "again"
    (again / "completions").mkdir(parents=True)
    moved = again / "completions" / leftover.name
    leftover.rename(moved)
    with open_store(again, pytest.fail):
        assert not moved.exists()


def test_two_runs_cannot_share_a_folder(store: Store) -> None:
    with (
        pytest.raises(StoreError, match=rf"^evalkit run {os.getpid()} on .*, since .* UTC is at work in "),
        open_store(store.folder, pytest.fail),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(StoreError, match="choose another with --out"),
        open_store(tmp_path / "file" / "run", pytest.fail),
    ):
        pass


def test_a_full_disk_is_named_and_what_was_there_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(KEY, COMPLETIONS)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StoreError, match=r"No space left on device.*make room and give the same command again"
    ) as caught:
        store.put("l" * 32, COMPLETIONS)
    assert caught.value.exit_code == 5
    monkeypatch.undo()
    assert list(store.folder.rglob("*.part")) == []
    assert store.read(KEY) == COMPLETIONS


def test_a_cache_that_cannot_be_written_only_costs_a_note(
    store: Store, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_source: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_share", broken)
    store.put(KEY, COMPLETIONS)
    assert "the cache could not be written (No space left on device)" in notices[0]


def test_a_damaged_manifest_is_refused(store: Store) -> None:
    assert store.manifest() is None
    store.write_json("run.json", {"a": 1})
    assert store.manifest() == Manifest.model_validate({"a": 1})
    (store.folder / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="is damaged"):
        store.manifest()


def test_an_atomic_write_keeps_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


BASE = {"weights": "w", "sampling": {"n": 4, "temperature": 1.0, "stop": []}, "prompts": [["a", [1, 2]]], "twin": 0}
CHANGES = [
    {"weights": "v"},
    {"sampling": {"n": 5, "temperature": 1.0, "stop": []}},
    {"sampling": {"n": 4, "temperature": 0.9, "stop": []}},
    {"sampling": {"n": 4, "temperature": 1.0, "stop": ["x"]}},
    {"prompts": [["a", [1, 3]]]},
    {"prompts": [["a", [1]], ["b", [2]]]},
    {"twin": 1},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_follows_everything_that_decides_the_samples(change: dict[str, object]) -> None:
    assert key_of(BASE | change) != key_of(BASE)


def test_a_key_does_not_depend_on_the_order_of_its_parts() -> None:
    assert key_of(dict(reversed(BASE.items()))) == key_of(BASE)


@given(st.lists(st.lists(st.floats(width=64), max_size=3), max_size=12))
def test_arrays_are_remembered_bit_for_bit(rows: list[list[float]]) -> None:
    arrays = [np.array(row, dtype=np.float64) for row in rows]
    remember("things", "key", arrays, pytest.fail)
    found = recall("things", "key")
    assert found is not None
    assert [array.tobytes() for array in found] == [array.tobytes() for array in arrays]


def test_a_damaged_memory_counts_as_none() -> None:
    assert recall("things", "none") is None
    remember("things", "key", [np.arange(5.0)], pytest.fail)
    path = cache_folder("things") / "key.npz"
    path.write_bytes(path.read_bytes()[:-20])
    assert recall("things", "key") is None
    assert not path.exists()


def test_a_shard_says_its_arm_and_when_it_was_sampled(store: Store, tmp_path: Path) -> None:
    early = datetime.datetime(2026, 11, 1, 8, tzinfo=datetime.UTC)
    store.put(KEY, COMPLETIONS, "tuned@T=1", sampled=early)
    assert pq.read_table(shard(store.folder / "completions")).to_pydict()["arm"] == ["tuned@T=1"] * 3
    assert store.sampled(KEY) == early
    with open_store(tmp_path / "other", pytest.fail) as other:
        assert other.holds(KEY, "tuned")
        assert pq.read_table(shard(other.folder / "completions")).to_pydict()["arm"] == ["tuned"] * 3
        assert (other.sampled(KEY), other.read(KEY)) == (early, COMPLETIONS)


def test_a_shard_of_an_older_evalkit_is_read_and_counts_as_of_its_file_s_time(store: Store) -> None:
    fields = {name: "sample_index" if name == "slot" else name for name in SHARD_SCHEMA.names}
    rows = pa.table(
        {name: [getattr(one, field) for one in COMPLETIONS] for name, field in fields.items()}, schema=SHARD_SCHEMA
    )
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    path = cache_folder("completions") / f"{KEY}.{hashlib.sha256(content).hexdigest()[:32]}.parquet"
    path.write_bytes(content)
    os.utime(path, (1793520000, 1793520000))
    assert store.holds(KEY, "base")
    assert store.read(KEY) == COMPLETIONS
    assert store.sampled(KEY) == datetime.datetime(2026, 11, 1, 8, tzinfo=datetime.UTC)


def test_what_may_not_be_shared_stays_in_its_folder(store: Store, tmp_path: Path) -> None:
    store.put(KEY, COMPLETIONS, shared=False)
    remember("verdicts", KEY, [np.array(1.0)], pytest.fail, shared=False)
    assert recall("verdicts", KEY, shared=False) == [1.0]
    assert recall("verdicts", KEY) is None
    with open_store(tmp_path / "other", pytest.fail) as other:
        assert not other.holds(KEY)
        assert recall("verdicts", KEY, shared=False) is None


def test_the_lock_of_a_machine_that_is_gone_names_it_and_can_be_deleted(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("a+") as lock:
        lock.write("evalkit run 7 on a-dead-node, since 2026-01-01 00:00:00 UTC")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)  # what a file server goes on holding
        with (
            pytest.raises(StoreError, match=r"^evalkit run 7 on a-dead-node, .*if you are sure that it is, delete "),
            open_store(tmp_path, pytest.fail),
        ):
            pass
        (tmp_path / ".lock").unlink()
        with open_store(tmp_path, pytest.fail) as opened:
            opened.put(KEY, COMPLETIONS)
            assert opened.read(KEY) == COMPLETIONS


def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(StoreError, match=r"cannot be locked \(No locks available\), so two runs could spoil"),
        open_store(tmp_path, pytest.fail),
    ):
        pass
