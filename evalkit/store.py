"""A run's folder: shards of completions that are written whole or not at all, a manifest, a lock, and the cache.

A shard is one arm x one block of prompts. Its name is `KEY.CHECKSUM.parquet`: the key is the hash of all that decides
its content, the checksum that of its bytes, so that one rename makes it there and provable at once. Shards are
looked for in the run's folder, then in the cache; a damaged one is set aside, named, and sampled again. When it was
sampled stands in the file itself, so that whoever reuses it can say so.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.cache import cache_folder, write_atomically
from evalkit.errors import RecordsError, StoreError
from evalkit.records import Completion

SHARD_SCHEMA = pa.schema([
    ("prompt_id", pa.string()),
    ("slot", pa.int32()),
    ("text", pa.string()),
    ("token_ids", pa.list_(pa.int32())),
    ("logprobs", pa.list_(pa.float32())),
    ("finish_reason", pa.dictionary(pa.int8(), pa.string())),
])  # fmt: skip
ARM = pa.field("arm", pa.dictionary(pa.int16(), pa.string()))
"""Stands in every shard for whoever reads it alone; nothing here does, and older shards have none."""
SAMPLED = b"evalkit.sampled"
"""Key of the time of sampling in a shard's metadata; older shards have none, and count as of their file's time."""
FORMAT = 1
"""Part of every key: shards of another layout are other shards."""
Notice = Callable[[str], None]
_OPEN: ContextVar[Path | None] = ContextVar("open run folder", default=None)


@dataclass(frozen=True)
class Store:
    """One run's folder, locked while it is open."""

    folder: Path
    notice: Notice
    """Told, in a line, what the user should know but need not act on."""

    def holds(self, key: str, arm: str = "", shared: bool = True) -> bool:
        """Whether a shard is here, whole; one that only the cache has is brought into the folder, as of `arm`.

        `shared`: whether the cache may help.
        """
        if self._own(key) is not None:
            return True
        return shared and self._brought(key, arm)

    def read(self, key: str) -> list[Completion]:
        """The completions of a shard that is here. Raises `StoreError` when it is not."""
        return _from_parquet(self._there(key)[1])

    def sampled(self, key: str) -> datetime.datetime:
        """When a shard that is here was sampled. Raises `StoreError` when it is not here."""
        return _sampled(*self._there(key))

    def put(
        self,
        key: str,
        completions: Sequence[Completion],
        arm: str = "",
        shared: bool = True,
        sampled: datetime.datetime | None = None,
    ) -> None:
        """Write a shard into the run's folder, and offer it to the cache if it is `shared`. Raises `StoreError`.

        `sampled`: when its completions were, if not now.
        """
        name = self._write_shard(key, _to_parquet(completions, arm, sampled or datetime.datetime.now(datetime.UTC)))
        if not shared:
            return
        try:
            _share(self.folder / "completions" / name, cache_folder("completions") / name)
        except OSError as error:
            self.notice(f"the cache could not be written ({error.strerror}); the run itself is whole")

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the run, whole or not at all. Raises `StoreError`."""
        path = self.folder / name
        try:
            write_atomically(path, content)
        except OSError as error:
            raise StoreError(
                f"{path} could not be written: {error.strerror}; all that was written before is kept: "
                "make room and give the same command again"
            ) from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self.write(name, json.dumps(value, indent=1, ensure_ascii=False, default=str).encode("utf-8", "replace"))

    def write_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write a Parquet table of the run."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(dict(columns)), sink, compression="zstd")
        self.write(name, sink.getvalue().to_pybytes())

    def manifest(self) -> dict[str, Any] | None:
        """run.json, or None in a new folder. Raises `StoreError` when it is damaged."""
        path = self.folder / "run.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path} is damaged ({error}); move it away, or choose another folder with --out"
            ) from None
        return found

    def _there(self, key: str) -> tuple[Path, bytes]:
        found = self._own(key)
        if found is None and self._brought(key, ""):  # it was damaged since
            found = self._own(key)
        if found is None and self._brought(key, ""):  # it was damaged since
            found = self._own(key)
        if found is None:
            raise StoreError(f"shard {key} is gone from {self.folder / 'completions'}; give the same command again")
        return found

    def _own(self, key: str) -> tuple[Path, bytes] | None:
        return self._newest(self.folder / "completions", key)

    def _brought(self, key: str, arm: str) -> bool:
        """Whether the cache had the shard; it is then in the folder."""
        found = self._newest(cache_folder("completions"), key)
        if found is None:
            return False
        path, content = found
        if not arm or _arm(content) == arm:
            self._link(path, self.folder / "completions" / path.name)
        else:
            self._write_shard(key, _to_parquet(_from_parquet(content), arm, _sampled(path, content)))
        return True

    def _write_shard(self, key: str, content: bytes) -> str:
        name = f"{key}.{_checksum(content)}.parquet"
        self.write(f"completions/{name}", content)
        return name

    def _newest(self, folder: Path, key: str) -> tuple[Path, bytes] | None:
        """The last written of a key's whole shards: several have been sampled where one was sampled anew."""
        for path in sorted(folder.glob(f"{key}.*.parquet"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
            content = self._whole(path)
            if content is not None:
                return path, content
        return None

    def _whole(self, path: Path) -> bytes | None:
        """A shard's bytes; a damaged one is set aside, not deleted."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        if _checksum(content) == path.name.split(".")[1]:
            return content
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        self.notice(
            f"{path} is damaged (its checksum does not match); set aside as {aside.name}, its prompts are sampled again"
        )
        return None

    def _link(self, source: Path, target: Path) -> None:
        try:
            _share(source, target)
        except OSError as error:
            raise StoreError(
                f"{target} could not be written: {error.strerror}; make room and give the same command again"
            ) from error


@contextmanager
def open_store(folder: Path, notice: Notice) -> Iterator[Store]:
    """Make or enter a run's folder and lock it. Raises `StoreError`: not writable, or another run is at work in it."""
    try:
        (folder / "completions").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be used as a run folder: {error.strerror}; choose another with --out"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another evalkit run is at work in {folder}; wait for it, or choose another --out"
            ) from None
        for leftover in [*folder.glob(".*.part"), *(folder / "completions").glob(".*.part")]:
            leftover.unlink()
        before = _OPEN.set(folder)
        try:
            yield Store(folder, notice)
        finally:
            _OPEN.reset(before)


def read_shard(folder: Path, key: str) -> list[Completion]:
    """The completions of a finished run's shard; nothing is locked, mended or written. Raises `RecordsError`."""
    completions = folder / "completions"
    for path in sorted(completions.glob(f"{key}.*.parquet")):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
        if _checksum(content) != path.name.split(".")[1]:
            raise RecordsError(
                f"{path} is damaged (its checksum does not match); give the `evalkit run` of {folder} again, which "
                "samples what is missing"
            )
        return _from_parquet(content)
    raise RecordsError(
        f"shard {key} is gone from {completions}; give the `evalkit run` of {folder} again, which samples what is "
        "missing"
    )


def key_of(parts: Mapping[str, Any]) -> str:
    """The name of what `parts` decide: a hash of them all, in a fixed order. Values must be JSON."""
    canonical = json.dumps({"format": FORMAT, **parts}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def recall(kind: str, key: str, shared: bool = True) -> list[np.ndarray[Any, Any]] | None:
    """Arrays kept under `key`, or None; a damaged entry counts as none.

    They are in the cache, or, if not `shared`, in the folder of the run that is open: what a server said that may be
    another one tomorrow is worth nothing outside of it.
    """
    folder = _kept(kind, shared)
    if folder is None:
        return None
    path = folder / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return [found[name] for name in sorted(found.files)]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        path.unlink(missing_ok=True)
        return None


def remember(kind: str, key: str, arrays: Sequence[np.ndarray[Any, Any]], notice: Notice, shared: bool = True) -> None:
    """Keep arrays under `key` where `recall` looks; a place that cannot be written is only told of."""
    buffer = io.BytesIO()
    named: dict[str, Any] = {f"{index:08d}": array for index, array in enumerate(arrays)}
    np.savez_compressed(buffer, **named)
    try:
        folder = _kept(kind, shared)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / f"{key}.npz", buffer.getvalue())
    except OSError as error:
        notice(f"the cache could not be written ({error.strerror}); the run itself is whole")


def _kept(kind: str, shared: bool) -> Path | None:
    if shared:
        return cache_folder(kind)
    folder = _OPEN.get()
    return None if folder is None else folder / "answers" / kind


def _to_parquet(completions: Sequence[Completion], arm: str, sampled: datetime.datetime) -> bytes:
    columns = {
        "prompt_id": [c.prompt_id for c in completions],
        "slot": [c.slot for c in completions],
        # A lone surrogate is no text: it cannot be written as UTF-8.
        "text": [c.text.encode("utf-8", "replace").decode("utf-8") for c in completions],
        "token_ids": [c.token_ids for c in completions],
        "logprobs": [c.logprobs for c in completions],
        "finish_reason": [c.finish_reason for c in completions],
        "arm": [arm] * len(completions),
    }
    sink = pa.BufferOutputStream()
    told = {SAMPLED: sampled.isoformat(timespec="seconds").encode()}
    pq.write_table(pa.table(columns, schema=SHARD_SCHEMA.append(ARM).with_metadata(told)), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _from_parquet(content: bytes) -> list[Completion]:
    table = pq.read_table(pa.BufferReader(content), schema=SHARD_SCHEMA)
    columns = [table.column(name).to_pylist() for name in SHARD_SCHEMA.names]
    return [
        Completion(prompt_id, slot, text, tuple(token_ids), tuple(logprobs), finish_reason)
        for prompt_id, slot, text, token_ids, logprobs, finish_reason in zip(*columns, strict=True)
    ]


def _arm(content: bytes) -> str | None:
    if ARM.name not in pq.read_schema(pa.BufferReader(content)).names:
        return None
    named = pq.read_table(pa.BufferReader(content), columns=[ARM.name])[ARM.name]
    return str(named[0].as_py()) if len(named) else None


def _sampled(path: Path, content: bytes) -> datetime.datetime:
    told = (pq.read_schema(pa.BufferReader(content)).metadata or {}).get(SAMPLED)
    if told is None:
        return datetime.datetime.fromtimestamp(int(path.stat().st_mtime), datetime.UTC)
    return datetime.datetime.fromisoformat(told.decode())


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _share(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where that cannot be (another disk)."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            shutil.copy2(source, part)  # with its time: see SAMPLED
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
