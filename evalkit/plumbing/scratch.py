"""Files that live no longer than what needs them: in the cache, a process's own, swept after one that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import weakref
from pathlib import Path

from evalkit.plumbing.files import cache_folder, writing

FOLDER = "scratch"


class Scratch:
    """A new file, which goes when this object does or the process ends; it is not pickled, its path is.

    Its lock, held by the process that made it, tells others that it is still wanted. Raises `StoreError`.
    """

    def __init__(self, suffix: str) -> None:
        folder = cache_folder(FOLDER)
        with writing(folder):
            _sweep(folder)
            handle, self.path = _locked(folder, suffix)
        weakref.finalize(self, _remove, self.path, handle)


def _locked(folder: Path, suffix: str) -> tuple[int, Path]:
    """A new file that this process holds the lock of: one that was swept before it did, is not it."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, suffix=suffix)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks, where nobody sweeps
            return handle, Path(name)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)


def _remove(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)
    os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed: nobody holds its lock."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
