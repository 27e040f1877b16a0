"""A run's folder: shards of completions that are written whole or not at all, a manifest, a lock, and the cache.

A shard is what one sampling call drew. Its name is `KEY.CHECKSUM.parquet`: the key is the hash of all that decides
its content, the checksum that of its bytes, so that one rename makes it there and provable at once. Shards are
looked for in the run's folder, then in the cache; a damaged one is set aside, named, and sampled again. When it was
sampled, and of which prompts which draws it holds, stands in the file itself: there is no index that two writers could
spoil, and whoever reuses a shard, or some of it, can say so. The cache has a folder for each distribution that
is drawn from.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import RecordsError, StoreError
from evalkit.plumbing.array_cache import _OPEN, Notice
from evalkit.plumbing.files import cache_folder, cache_note, part_of, rename, write_file, writing
from evalkit.records import Completion
from evalkit.runs.manifest import FILE, Manifest, find_manifest
from evalkit.runs.shards import (
    Call,
    arm_of,
    call_and_arm,
    call_of,
    checksum,
    completions_of,
    from_parquet,
    sampled_of,
    shard_name,
    shards_in,
    table_of,
    to_parquet,
    write_parquet,
)
from evalkit.runs.usage import Usage

HOLDER_LENGTH = 200
"""Of the note of who holds a lock, what is read at most."""
UNFINISHED = "unfinished.jsonl"
"""What requests took whose sampling call did not end: it was paid for, and no shard says so."""
KEPT = "all that was written before is kept"
"""Where a file could not be written."""


@dataclass(frozen=True)
class StoredShard:
    """A shard that is there, known by its metadata; its bytes were not looked at."""

    path: Path
    key: str
    call: Call
    arm: str | None
    """The arm that it names."""
    cached: bool
    """Whether it is in the cache, not in the run's folder."""


@dataclass(frozen=True)
class Store:
    """One run's folder, locked while it is open."""

    folder: Path
    notice: Notice
    """Told, in a line, what the user should know but need not act on."""
    _listings: dict[Path, dict[str, list[Path]]] = field(default_factory=dict, repr=False, compare=False)
    """Folder -> key -> shards, so that no folder is listed once a shard."""
    _stored: dict[Path, list[StoredShard]] = field(default_factory=dict, repr=False, compare=False)
    """Folder -> what its shards told when they were first asked, so that none is asked once a distribution."""

    def holds(self, key: str, arm: str = "", shared: bool = True, distribution: str = "") -> bool:
        """Whether a shard is here, whole; one that only the cache has is brought into the folder, as of `arm`.

        `shared`: whether the cache may help. `distribution`: the one that it was drawn from, where the caller knows.
        """
        if self._in_folder(key) is not None:
            return True
        return shared and self._brought(key, arm, distribution)

    def is_listed(self, key: str, shared: bool = True, distribution: str = "") -> bool:
        """Whether a shard of that name is here or in the cache; nothing is read, brought or mended."""
        folders = [self.folder / "completions", *(cache_folders(distribution) if shared else ())]
        return any(self._listed(folder).get(key) for folder in folders)

    def stored(self, distribution: str, shared: bool = True) -> list[StoredShard]:
        """All shards of a distribution: the folder's own before the cache's, and of each the last written first."""
        here = self._stored_in(self.folder / "completions", False)
        cached = self._stored_in(cache_folder("completions") / distribution, True) if shared else []
        return [shard for shard in (*here, *cached) if shard.call.distribution == distribution]

    def take(self, stored: StoredShard, arm: str) -> bool:
        """Whether a shard is whole; one of the cache is then in the folder, as of `arm`. A damaged one is set aside."""
        content = self._whole(stored.path)
        if content is None:
            return False
        if stored.cached:
            self._bring(stored.key, stored.path, content, arm, stored.arm)
        return True

    def rename(self, key: str, arm: str) -> None:
        """A shard of the folder as of another arm. Raises `StoreError` when it is not here."""
        path, content = self._path_and_bytes(key)
        if arm_of(content) == arm:
            return
        self._write_shard(key, to_parquet(from_parquet(content), arm, sampled_of(path, content), call_of(content)))
        path.unlink()

    def read(self, key: str) -> list[Completion]:
        """The completions of a shard that is here. Raises `StoreError` when it is not."""
        return completions_of(self.table(key))

    def table(self, key: str) -> pa.Table:
        """The columns of a shard that is here. Raises `StoreError` when it is not."""
        return table_of(self._path_and_bytes(key)[1])

    def sampled(self, key: str) -> datetime.datetime:
        """When a shard that is here was sampled. Raises `StoreError` when it is not here."""
        for path in _last_first(self._listed(self.folder / "completions").get(key, ())):
            with contextlib.suppress(OSError, pa.ArrowException):
                return sampled_of(path, path)
        return sampled_of(*self._path_and_bytes(key))

    def call(self, key: str) -> Call | None:
        """What a shard that is here tells of its call. Raises `StoreError` when it is not here."""
        for path in _last_first(self._listed(self.folder / "completions").get(key, ())):
            with contextlib.suppress(OSError, pa.ArrowException):
                return call_of(path)
        return call_of(self._path_and_bytes(key)[1])

    def note_unfinished(self, arm: str, usage: Sequence[Usage]) -> None:
        """Keep what the requests of a call took that did not end. Raises `StoreError`."""
        if usage:
            rows = [(arm, one) for one in usage]
            lines = [json.dumps({"arm": arm} | asdict(one)) for arm, one in (*self.unfinished(), *rows)]
            self.write(UNFINISHED, "".join(f"{line}\n" for line in lines).encode())

    def unfinished(self) -> list[tuple[str, Usage]]:
        """What requests took whose call did not end, each with its arm. Raises `StoreError` on a damaged file."""
        try:
            rows = map(json.loads, (self.folder / UNFINISHED).read_text(encoding="utf-8").splitlines())
            return [(str(row.pop("arm")), Usage(**row)) for row in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{self.folder / UNFINISHED} cannot be read ({error}); move it away") from None

    def put(
        self,
        key: str,
        completions: Sequence[Completion],
        arm: str = "",
        shared: bool = True,
        sampled: datetime.datetime | None = None,
        call: Call | None = None,
    ) -> int:
        """Write a shard into the run's folder, and offer it to the cache if it is `shared`; its size in bytes.

        Raises `StoreError`.

        `sampled`: when its completions were, if not now. `call`: the one that drew them; without it, others find the
        shard by its key alone.
        """
        when = sampled or datetime.datetime.now(datetime.UTC)
        content = to_parquet(completions, arm, when, call)
        self.put_content(key, content, shared, call.distribution if call is not None else "")
        return len(content)

    def put_content(self, key: str, content: bytes, shared: bool = True, distribution: str = "") -> None:
        """As `put`, a shard that is `to_parquet` already. Several threads may, each its own. Raises `StoreError`."""
        name = self._write_shard(key, content)
        if shared:
            self._offer(name, distribution)

    def put_parts(
        self,
        key: str,
        parts: Iterable[Sequence[Completion]],
        extras: frozenset[str],
        arm: str,
        shared: bool,
        sampled: datetime.datetime,
    ) -> None:
        """`put` a shard that need not fit into memory, given in parts. Raises `StoreError`."""
        folder = self.folder / "completions"
        with writing(folder / key, KEPT), part_of(folder / key) as part:
            with part.open("wb") as file:
                write_parquet(file, parts, extras, arm, sampled)
            with part.open("rb") as file:
                name = shard_name(key, hashlib.file_digest(file, "sha256").hexdigest())
            size = part.stat().st_size
            rename(part, folder / name, lambda: (folder / name).stat().st_size == size)
        self._enter(key, folder / name)
        if shared:
            self._offer(name, "")

    def _offer(self, name: str, distribution: str) -> None:
        try:
            folder = cache_folder("completions") / distribution
            folder.mkdir(exist_ok=True)
            _share(self.folder / "completions" / name, folder / name)
        except OSError as error:
            self.notice(cache_note(error))

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the run, whole or not at all. Raises `StoreError`."""
        write_file(self.folder / name, content, KEPT)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self.write(name, json.dumps(value, indent=1, ensure_ascii=False, default=str).encode("utf-8", "replace"))

    def write_table(self, name: str, schema: pa.Schema, parts: Iterable[Mapping[str, Any]]) -> None:
        """Write a Parquet table of the run, given in parts."""
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for columns in parts:
                writer.write_table(pa.table(dict(columns), schema=schema))
        self.write(name, sink.getvalue().to_pybytes())

    def manifest(self) -> Manifest | None:
        """The run's manifest, or None in a new folder. Raises `StoreError` when it is damaged."""
        try:
            return find_manifest(self.folder)
        except RecordsError as error:
            raise StoreError(str(error)) from None

    def write_manifest(self, manifest: Manifest) -> None:
        """Write run.json. Raises `StoreError`."""
        self.write_json(FILE, manifest.to_json())

    def _path_and_bytes(self, key: str) -> tuple[Path, bytes]:
        shard = self._in_folder(key)
        if shard is None and self._brought(key, "", "*"):  # it was damaged since
            shard = self._in_folder(key)
        if shard is None:
            raise StoreError(f"shard {key} is gone from {self.folder / 'completions'}; give the same command again")
        return shard

    def _in_folder(self, key: str) -> tuple[Path, bytes] | None:
        return self._newest(self.folder / "completions", key)

    def _brought(self, key: str, arm: str, distribution: str) -> bool:
        """Whether the cache had the shard; it is then in the folder."""
        for folder in cache_folders(distribution):
            if shard := self._newest(folder, key):
                self._bring(key, *shard, arm, arm and arm_of(shard[1]))
                return True
        return False

    def _bring(self, key: str, path: Path, content: bytes, arm: str, names: str | None) -> None:
        """Make a shard of the cache, which `names` an arm, one of the folder's, which says `arm` in it."""
        if not arm or names == arm:
            target = self.folder / "completions" / path.name
            self._link(path, target)
            self._enter(key, target)
        else:
            self._write_shard(key, to_parquet(from_parquet(content), arm, sampled_of(path, content), call_of(content)))

    def _write_shard(self, key: str, content: bytes) -> str:
        name = shard_name(key, checksum(content))
        self.write(f"completions/{name}", content)
        self._enter(key, self.folder / "completions" / name)
        return name

    def _newest(self, folder: Path, key: str) -> tuple[Path, bytes] | None:
        """The last written of a key's whole shards: several have been sampled where one was sampled anew."""
        for path in _last_first(self._listed(folder).get(key, ())):
            content = self._whole(path)
            if content is not None:
                return path, content
        return None

    def _stored_in(self, folder: Path, cached: bool) -> list[StoredShard]:
        if folder not in self._stored:
            self._stored[folder] = _with_calls(self._listed(folder), cached)
        return self._stored[folder]

    def _listed(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listings:
            # Of several threads that look at once, all go on with what the first one found and enters its shards in.
            self._listings.setdefault(folder, shards_in(folder))
        return self._listings[folder]

    def _enter(self, key: str, path: Path) -> None:
        paths = self._listed(path.parent).setdefault(key, [])
        if path not in paths:
            paths.append(path)

    def _whole(self, path: Path) -> bytes | None:
        """A shard's bytes; a damaged one is set aside, not deleted."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # another run has set it aside, or the cache was emptied
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        if checksum(content) == path.name.split(".")[1]:
            return content
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        self.notice(
            f"{path} is damaged (its checksum does not match); set aside as {aside.name}, its prompts are sampled again"
        )
        return None

    def _link(self, source: Path, target: Path) -> None:
        with writing(target, KEPT):
            _share(source, target)


@contextmanager
def open_store(folder: Path, notice: Notice) -> Iterator[Store]:
    """Make or enter a run's folder and lock it. Raises `StoreError`: not writable, or another run is at work in it."""
    try:
        (folder / "completions").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a+")
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be used as a run folder: {error.strerror}; choose another with --out"
        ) from error
    with lock:
        _take_lock(folder, lock)
        for leftover in [*folder.glob(".*.part"), *(folder / "completions").glob(".*.part")]:
            leftover.unlink()
        before = _OPEN.set(folder)
        try:
            yield Store(folder, notice)
        finally:
            _OPEN.reset(before)


def _take_lock(folder: Path, lock: TextIO) -> None:
    """Lock a folder, and leave a note of who did. Raises `StoreError`: another one has, or locks are not to be had."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read(HOLDER_LENGTH).strip() or "another evalkit run"
        raise StoreError(
            f"{holder} is at work in {folder}; wait for it, or choose another --out. The lock of a machine that is "
            f"gone stays until its file server drops it; if you are sure that it is, delete {folder / '.lock'}"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be locked ({error.strerror}), so two runs could spoil each other's work there; choose "
            "--out on a file system with locks (of NFS, version 4)"
        ) from error
    lock.truncate(0)
    lock.write(f"evalkit run {os.getpid()} on {platform.node()}, since {datetime.datetime.now(datetime.UTC):%F %T} UTC")
    lock.flush()


def cache_folders(distribution: str) -> list[Path]:
    """Where the cache may have a shard of a distribution ("*": any): its folder, and older evalkits' one for all."""
    root = cache_folder("completions")
    if distribution == "*":
        return [*(path for path in root.iterdir() if path.is_dir()), root]
    return [root / distribution, root] if distribution else [root]


def _with_calls(listed: Mapping[str, Sequence[Path]], cached: bool) -> list[StoredShard]:
    """The shards that tell of their call, the last written first. Damaged ones are for whoever reads them by key."""
    shards = []
    for path in _last_first([path for paths in listed.values() for path in paths]):
        with contextlib.suppress(OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            call, arm = call_and_arm(path)
            if call:
                shards.append(StoredShard(path, path.name.partition(".")[0], call, arm, cached))
    return shards


def _last_first(paths: Sequence[Path]) -> list[Path]:
    """By the time of their last change, those that are still there."""
    times = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            times[path] = path.stat().st_mtime_ns
    return sorted(times, key=lambda path: (-times[path], path.name))


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
