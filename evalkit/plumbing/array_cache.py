"""Arrays kept under the hash of all that decides them: in the cache, or in the folder of the run that is open."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.plumbing.files import cache_folder, cache_note, write_atomically

FORMAT = 1
"""Part of every key: shards of another layout are other shards."""


Notice = Callable[[str], None]


_OPEN: ContextVar[Path | None] = ContextVar("open run folder", default=None)


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
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in sorted(arrays.files)]
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
        notice(cache_note(error))


def _kept(kind: str, shared: bool) -> Path | None:
    if shared:
        return cache_folder(kind)
    folder = _OPEN.get()
    return None if folder is None else folder / "answers" / kind
