"""Where caches live, how a file is written so that a crash leaves the old or the new one, and what is said if not."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.errors import StoreError

_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room and give the same command again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place that you may write to"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "choose a place in a folder that is there"),
}
_REMEDY = "make room or choose another place, and give the same command again"


def cache_folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/evalkit/NAME` (default `~/.cache/evalkit/NAME`), made if missing."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "evalkit" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path`, flush to disk, rename. On an `OSError` `path` is as it was, and nothing is left over."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        _rename(Path(name), path, content)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _rename(part: Path, path: Path, content: bytes) -> None:
    """Where a network file system loses its reply and asks again, the second answer is that `part` is not there."""
    try:
        part.replace(path)
    except FileNotFoundError:
        if not path.is_file() or path.read_bytes() != content:
            raise


def write_file(path: Path, content: bytes, kept: str = "") -> None:
    """Write a file that the user is to find, whole or not at all. Raises `StoreError`; `kept` is as in `unwritten`."""
    with writing(path, kept):
        write_atomically(path, content)


@contextmanager
def writing(path: Path, kept: str = "") -> Iterator[None]:
    """An `OSError` inside is a `StoreError` that names `path`; `kept` is as in `unwritten`."""
    try:
        yield
    except OSError as error:
        raise unwritten(path, error, kept) from error


def unwritten(path: Path, error: Exception, kept: str = "") -> StoreError:
    """What is raised where `path` could not be written: the place, the reason, what is `kept`, and what to do.

    `error` is the system's, or that of a library which wrote for us and has only words; `kept` is a clause, as in "the
    old one is kept".
    """
    system = error if isinstance(error, OSError) else None
    why = (system and system.strerror) or str(error)
    remedy = _REMEDIES.get(system.errno or 0, _REMEDY) if system else _REMEDY
    return StoreError(f"{path} could not be written: {why}; {f'{kept}; ' if kept else ''}{remedy}")


def cache_note(error: OSError) -> str:
    """What is told where a cache could not be written: nothing is lost but time."""
    return f"the cache could not be written ({error.strerror}); the run itself is whole"
