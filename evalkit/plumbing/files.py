"""Where caches live, and how a file is written so that a crash leaves the old one or the new one, never half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evalkit.errors import StoreError


def cache_folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/evalkit/NAME` (default `~/.cache/evalkit/NAME`), made if missing."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "evalkit" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that the user asked for, whole or not at all. Raises `StoreError`."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"{path} could not be written: {error.strerror}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path`, flush to disk, rename. On an `OSError` `path` is as it was, and nothing is left over."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
