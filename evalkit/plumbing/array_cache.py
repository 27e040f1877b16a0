"""Arrays kept under the hash of all that decides them: in the cache, or in the folder of the run that is open."""

from __future__ import annotations

import hashlib
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

import numpy as np

from evalkit.plumbing.array_files import Rows
from evalkit.plumbing.files import cache_folder, cache_note, part_of, rename

FORMAT = 1
"""Part of every key: shards of another layout are other shards."""


DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError)
"""What reading a damaged entry may raise: the header of an array is Python's notation."""
ROWS = 1 << 16
"""Rows of an array that are read at a time."""
Notice = Callable[[str], None]


_OPEN: ContextVar[Path | None] = ContextVar("open run folder", default=None)


def key_of(parts: Mapping[str, Any]) -> str:
    """The name of what `parts` decide: a hash of them all, in a fixed order. Values must be JSON."""
    canonical = json.dumps({"format": FORMAT, **parts}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def key_of_list(parts: Mapping[str, Any], name: str, items: Iterable[Any]) -> str:
    """`key_of` of the parts and, under a name that is none of theirs, a list whose items come one by one."""
    every = {"format": FORMAT, **parts}
    before, after = (
        json.dumps({key: every[key] for key in every if (key < name) is is_before}, sort_keys=True)[1:-1]
        for is_before in (True, False)
    )
    digest = hashlib.sha256(f"{{{before}{', ' if before else ''}{json.dumps(name)}: [".encode("ascii"))
    for place, item in enumerate(items):
        digest.update(f"{', ' if place else ''}{json.dumps(item)}".encode("ascii"))
    digest.update(f"]{', ' if after else ''}{after}}}".encode("ascii"))
    return digest.hexdigest()[:32]


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
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in sorted(arrays.files)]
    except FileNotFoundError:
        return None
    except DAMAGED:
        path.unlink(missing_ok=True)
        return None


def remember(kind: str, key: str, arrays: Sequence[np.ndarray[Any, Any]], notice: Notice, shared: bool = True) -> None:
    """Keep arrays under `key` where `recall` looks; a place that cannot be written is only told of."""
    named: dict[str, Any] = {f"{index:08d}": array for index, array in enumerate(arrays)}
    try:
        folder = _kept(kind, shared)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{key}.npz"
            with part_of(path) as part:
                with part.open("wb") as file:
                    np.savez_compressed(file, **named)
                size = part.stat().st_size
                rename(part, path, lambda: path.stat().st_size == size)
    except OSError as error:
        notice(cache_note(error))


def recall_into(kind: str, key: str, arrays: Sequence[Rows]) -> bool:
    """Whether arrays of these shapes are in the cache under `key`; they are then read into these, some rows at a time.

    A damaged entry counts as none, and so does one of other shapes.
    """
    path = cache_folder(kind) / f"{key}.npz"
    try:
        with zipfile.ZipFile(path) as entry:
            names = sorted(entry.namelist())
            if len(names) != len(arrays):
                raise ValueError("another number of arrays")
            for name, array in zip(names, arrays, strict=True):
                with entry.open(name) as member:
                    _read_into(array, member)
        return True
    except FileNotFoundError:
        return False
    except DAMAGED:
        path.unlink(missing_ok=True)
        return False


def _read_into(array: Rows, member: IO[bytes]) -> None:
    if np.lib.format.read_magic(member) != (1, 0):  # type: ignore[no-untyped-call]
        raise ValueError("another version of the format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)  # type: ignore[no-untyped-call]
    if shape != array.shape:
        raise ValueError("another shape")
    bytes_a_row = dtype.itemsize * math.prod(shape[1:])
    for start in range(0, shape[0], ROWS):
        stop = min(start + ROWS, shape[0])
        rows = np.frombuffer(member.read((stop - start) * bytes_a_row), dtype)
        array[start:stop] = rows.reshape(stop - start, *shape[1:])


def _kept(kind: str, shared: bool) -> Path | None:
    if shared:
        return cache_folder(kind)
    folder = _OPEN.get()
    return None if folder is None else folder / "answers" / kind
