"""What is often given in place of a file of rows, and is told apart by its first bytes: each gets its own line."""

from __future__ import annotations

import stat
from pathlib import Path

from evalkit.errors import RecordsError

SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a pointer of Git LFS and not the file itself; fetch that with `git lfs pull`"),
    (b"\x1f\x8b", "is compressed by gzip where rows were expected; unpack it"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd where rows were expected; unpack it"),
    (b"BZh", "is compressed by bzip2; unpack it, or compress it by gzip"),
    (b"\xfd7zXZ\0", "is compressed by xz; unpack it, or compress it by gzip"),
    (b"PK\x05\x06", "is a zip without anything in it"),
    (b"PARE", "is an encrypted Parquet file; decrypt it"),
    (b"ARROW1", "is an Arrow (Feather) file; write it as Parquet"),
    (b"SQLite format 3", "is an SQLite database; write its table as CSV or Parquet"),
    (b"\xd0\xcf\x11\xe0", "is a workbook of an old Excel; save its sheet as CSV (UTF-8)"),
    (b"\xff\xfe", "is UTF-16 and not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)"),
    (b"\xfe\xff", "is UTF-16 and not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)"),
    (b"<!doctype html", "is a web page, such as an error in place of a download; fetch the file itself"),
    (b"<html", "is a web page, such as an error in place of a download; fetch the file itself"),
)
"""First bytes, in lower case where they are letters of a text -> what that is, and what to do."""
HEAD = 1024
"""Bytes of which a stranger is seen."""
TAR = slice(257, 262)
"""Where a tar archive says that it is one."""


def refuse_stranger(path: Path, head: bytes) -> None:
    """Refuse a file that is surely none of rows. Raises `RecordsError`."""
    start = head[:32].lstrip(b"\xef\xbb\xbf \r\n\t")
    for sign, told in SIGNS:
        if head.startswith(sign) or start.lower().startswith(sign):
            raise RecordsError(f"{path} {told}")
    if head[TAR] == b"ustar":
        raise RecordsError(f"{path} is a tar archive; unpack it and name a file in it")


def check_file(path: Path, folder: str = "name a file in it") -> None:
    """See that `path` is a file that can be read more than once. `folder`: what to do where it is a folder.

    Raises `RecordsError`.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise RecordsError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:  # a name too long, a loop of links, a zero byte
        raise RecordsError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(mode):
        raise RecordsError(f"{path} is a folder; {folder}")
    if not stat.S_ISREG(mode):
        raise RecordsError(
            f"{path} is a pipe or a device, which cannot be read twice; write what comes out of it to a file"
        )
