"""Files as bytes within bounds: gzip and zstd taken off, lines and documents of bounded length, entries of a zip.

A file from elsewhere may be a bomb: a few kilobytes that expand without end. So what comes out is counted, and reading
stops with one line. Nothing in an archive is ever written to disk, so the names in it cannot lead anywhere.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from evalkit.errors import RecordsError
from evalkit.plumbing.jsonl import LONGEST, MIB, bounded_lines, json_object, why_no_json

LARGEST = 256 * MIB
"""Bytes of a JSON document that must be held as a whole."""
MOST = 16 << 10
"""MiB that a file may expand to ..."""
RATIO, FREE = 200, 256 * MIB
"""... and no more than so many times its own bytes, beyond the first 256 MiB: text shrinks 3 to 30 times."""
GZIP, ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
ZSTD_METHOD = 93
"""Of a zip's entry; Python reads it from 3.14 on."""
ENCRYPTED = 1
"""Flag of a zip's entry that needs a password."""
HEAD = 1 << 16
"""Bytes of which the kind of a file is seen."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, expanded if it is compressed. Whatever is wrong with them is raised as `RecordsError`."""
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            yield cast("BinaryIO", io.BufferedReader(_Bounded(_expanded(raw, magic), path), MIB))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordsError(f"{path} is cut short or damaged: {error}") from None
    except OSError as error:  # of zstd too, without a number, where its stream is broken
        told = error.strerror or f"it may be cut short or damaged: {error}"
        raise RecordsError(f"{path} cannot be read: {told}") from None


def _expanded(raw: BinaryIO, magic: bytes) -> Any:
    if magic.startswith(GZIP):
        return gzip.GzipFile(fileobj=raw)
    return pa.CompressedInputStream(raw, "zstd") if magic == ZSTD else raw


class _Bounded(io.RawIOBase):
    """Counts what comes out of a stream, and stops a bomb."""

    def __init__(self, stream: Any, path: Path) -> None:
        self.stream, self.path, self.size, self.out = stream, path, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        chunk = self.stream.read(len(target))
        target[: len(chunk)] = chunk
        self.out += len(chunk)
        check_expansion(self.out, self.size, str(self.path))
        return len(chunk)


def check_expansion(out: int, size: int, where: str) -> None:
    """Refuse what expands without end. Raises `RecordsError`."""
    if out > max(size, min(MOST * MIB, max(FREE, RATIO * size))):
        raise RecordsError(
            f"{where} expands to more than {out // MIB:,} MiB from {size:,} bytes, as no text does; unpack it yourself "
            "if you trust it"
        )


def lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """(`file:number`, line with its end) of every line. Raises `RecordsError` on one that is too long."""
    with opened(path) as file:
        yield from bounded_lines(file, path, LONGEST)


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`file:number`, object) of every line of a JSONL file that is not blank. Raises `RecordsError`."""
    return ((where, json_object(where, line)) for where, line in lines(path) if line.strip())


def document(path: Path) -> Any:
    """A whole JSON file. Raises `RecordsError` on one that is too large to be held."""
    with opened(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise RecordsError(f"{path} is one JSON document of more than {LARGEST // MIB} MiB; give it as rows (JSONL)")
    return parsed(content, str(path))


def items(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`file: item number`, object) of each in one JSON list, or of one object alone. Raises `RecordsError`."""
    content = document(path)
    for number, item in enumerate(content if isinstance(content, list) else [content], start=1):
        if not isinstance(item, dict):
            raise RecordsError(f"{path}: item {number} is {type(item).__name__}; each is an object")
        yield f"{path}: item {number}", item


def parsed(content: bytes, where: str) -> Any:
    """JSON from bytes. Raises `RecordsError`."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RecordsError(f"{where}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        more = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        hint = (
            "one document is one object or list; rows have an object a line (jq -c)" if more else "it may be cut short"
        )
        raise RecordsError(f"{where}: not valid JSON: {why_no_json(error, content)}; {hint}") from None


class Archive:
    """A zip whose entries are read within bounds, and nowhere else but in memory."""

    def __init__(self, path: Path, raw: BinaryIO) -> None:
        self.path, self.raw, self.size, self.out = path, raw, path.stat().st_size, 0
        try:
            self.zip = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise RecordsError(f"{path} is cut short or damaged: {error}") from None

    @property
    def names(self) -> list[str]:
        """Names of entries, each once: of two with one name the last counts."""
        return list(self.zip.NameToInfo)

    def read(self, name: str) -> bytes:
        """An entry's bytes. Raises `RecordsError` where it is damaged, or expands beyond bounds."""
        where = f"{self.path}[{name}]"
        entry = self.zip.NameToInfo[name]
        if entry.flag_bits & ENCRYPTED:
            raise RecordsError(f"{where} is encrypted; unpack the archive with its password")
        try:
            stream = self._zstd(entry) if entry.compress_type == ZSTD_METHOD else self.zip.open(entry)
            with stream:
                content = bytes(stream.read(min(LARGEST, entry.file_size) + 1))
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, struct.error) as error:
            raise RecordsError(f"{where} is cut short or damaged: {error}") from None
        except (NotImplementedError, RuntimeError) as error:  # a method that is not known
            raise RecordsError(f"{where} cannot be read: {error}") from None
        if len(content) > LARGEST:
            raise RecordsError(f"{where} expands to more than {LARGEST // MIB} MiB, as no sample of texts does")
        if len(content) != entry.file_size:
            raise RecordsError(f"{where} is cut short or damaged: it has not the size that the archive says")
        self.out += len(content)
        check_expansion(self.out, self.size, str(self.path))
        return content

    def json(self, name: str) -> Any:
        """An entry's JSON. Raises `RecordsError`."""
        return parsed(self.read(name), f"{self.path}[{name}]")

    def _zstd(self, entry: zipfile.ZipInfo) -> Any:
        """What an entry of method 93 expands to: its bytes lie behind a header that says how long it is itself."""
        self.raw.seek(entry.header_offset)
        header = self.raw.read(30)
        name, extra = struct.unpack("<HH", header[26:30])
        self.raw.seek(name + extra, io.SEEK_CUR)
        return pa.CompressedInputStream(pa.BufferReader(self.raw.read(entry.compress_size)), "zstd")


@contextmanager
def archive(path: Path) -> Iterator[Archive]:
    """A zip, open. Raises `RecordsError`."""
    try:
        with path.open("rb") as raw:
            yield Archive(path, raw)
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror or error}") from None
