"""Files that live no longer than what needs them: in the cache, a process's own, swept after one that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
import weakref
from pathlib import Path

from evalkit.plumbing.files import cache_folder, writing

FOLDER = "scratch"
JUST_MADE = 60
"""Seconds within which a file may not have its lock yet."""


class Scratch:
    """A new file, which goes when this object does or the process ends; it is not pickled, its path is.

    Its lock, held by the process that made it, tells others that it is still wanted. Raises `StoreError`.
    """

    def __init__(self, suffix: str) -> None:
        folder = cache_folder(FOLDER)
        with writing(folder):
            _sweep(folder)
            handle, name = tempfile.mkstemp(dir=folder, suffix=suffix)
        self.path = Path(name)
        weakref.finalize(self, _remove, self.path, handle)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)
    os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed: nobody holds its lock."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError), path.open("rb") as file:
            if time.time() - path.stat().st_mtime > JUST_MADE:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
