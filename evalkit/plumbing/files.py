"""Where caches live, how a file is written so that a crash leaves the old or the new one, and what is said if not."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
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
    with part_of(path) as part:
        with part.open("wb") as file:
            file.write(content)
        rename(part, path, lambda: path.read_bytes() == content)


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """A file beside `path`, to be written and then renamed (`rename`); it is gone at the end if it was not."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def rename(part: Path, path: Path, is_there: Callable[[], bool]) -> None:
    """Flush a file to disk and give it its name; `is_there`: whether a file of that name is this one already.

    Where a network file system loses its reply and asks again, the second answer is that `part` is not there.
    """
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.chmod(0o644)
    try:
        part.replace(path)
    except FileNotFoundError:
        if not path.is_file() or not is_there():
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
