"""Objects that come one by one, kept in their order or sorted by what they belong to: on disk once they are many.

The files are scratch (`plumbing.scratch`), written and read by evalkit alone. What is read back is equal to what was
kept, texts that are no UTF-8 included.
"""

from __future__ import annotations

import pickle
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

from evalkit.plumbing.files import writing
from evalkit.plumbing.lazily import Lazy
from evalkit.plumbing.scratch import Scratch

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
FEW = 20_000
"""Objects that are kept in memory, ..."""
FEW_LETTERS = 1 << 27
"""... if they have no more letters than this."""
AT_ONCE = 1000
"""Objects that are read back together, ..."""
LETTERS_AT_ONCE = 1 << 22
"""... or fewer, from so many letters on."""
BUFFER = 1 << 20
"""Bytes that wait until they are written."""


class ListFile:
    """Lists in a file that goes with this object; in another process, what reads them there."""

    def __init__(self, path: Path | None = None, ends: array[int] | None = None) -> None:
        self._file = Scratch(".lists") if path is None else None
        self.path = path or self._file.path  # type: ignore[union-attr]
        self._ends = ends or array("q", [0])
        self._waiting = bytearray()

    def add(self, items: list[Any]) -> int:
        """Write a list; its number. Raises `StoreError`."""
        self._waiting += zlib.compress(pickle.dumps(items, pickle.HIGHEST_PROTOCOL), 1)
        self._ends.append(self._written + len(self._waiting))
        if len(self._waiting) >= BUFFER:
            self._write()
        return len(self._ends) - 2

    def read(self, number: int) -> list[Any]:
        """The list of that number."""
        self._write()
        start, end = self._ends[number : number + 2]
        with self.path.open("rb") as file:
            file.seek(start)
            items: list[Any] = pickle.loads(zlib.decompress(file.read(end - start)))  # noqa: S301 - our own file
        return items

    _written = 0

    def _write(self) -> None:
        if self._waiting:
            with writing(self.path), self.path.open("ab") as file:
                file.write(self._waiting)
            self._written += len(self._waiting)
            self._waiting = bytearray()

    def __reduce__(self) -> tuple[Any, ...]:
        self._write()
        return ListFile, (self.path, self._ends)


class Pile(Generic[Item]):
    """Objects in the order in which they come."""

    def __init__(self) -> None:
        self._waiting: list[Item] = []
        self._letters = 0
        self._file: ListFile | None = None
        self._starts = array("q", [0])

    def add(self, item: Item, letters: int) -> None:
        """Keep one, of about so many letters. Raises `StoreError`."""
        self._waiting.append(item)
        self._letters += letters
        if self._file is None:
            if len(self._waiting) > FEW or self._letters > FEW_LETTERS:
                self._file = ListFile()
        elif len(self._waiting) >= AT_ONCE or self._letters >= LETTERS_AT_ONCE:
            self._write(self._file)

    def items(self) -> Sequence[Item]:
        """All of them."""
        if self._file is None:
            return self._waiting
        if self._waiting:
            self._write(self._file)
        return Piled(self._file, self._starts)

    def _write(self, file: ListFile) -> None:
        for start in range(0, len(self._waiting), AT_ONCE):
            part = self._waiting[start : start + AT_ONCE]
            file.add(part)
            self._starts.append(self._starts[-1] + len(part))
        self._waiting, self._letters = [], 0


@dataclass(frozen=True, eq=False)
class Piled(Lazy[Item], Generic[Item]):
    """Objects on disk, in the order in which they came."""

    file: ListFile
    starts: array[int]
    """The first object of each list, and how many there are."""

    def __len__(self) -> int:
        return self.starts[-1]

    def make(self, index: int) -> Item:
        number = bisect_right(self.starts, index) - 1
        item: Item = _last_read(self.file, number)[index - self.starts[number]]
        return item


@lru_cache(maxsize=1)
def _last_read(file: ListFile, number: int) -> list[Any]:
    return file.read(number)


class Sorted(Generic[Key, Item]):
    """Objects by their key; of each in the order in which they come."""

    def __init__(self, on_disk: bool) -> None:
        self._file = ListFile() if on_disk else None
        self._waiting: dict[Key, list[Item]] = {}
        self._count = self._letters = 0
        self._numbers: dict[Key, array[int]] = {}

    def add(self, key: Key, item: Item, letters: int) -> None:
        """Keep one, of about so many letters. Raises `StoreError`."""
        self._waiting.setdefault(key, []).append(item)
        self._count += 1
        self._letters += letters
        if self._file is not None and (self._count >= FEW or self._letters >= FEW_LETTERS):
            self._write(self._file)

    def lists(self, keys: Sequence[Key]) -> Sequence[Sequence[Item]]:
        """Those of each key; none of a key that had none."""
        if self._file is None:
            return [self._waiting.get(key, []) for key in keys]
        self._write(self._file)
        return SortedLists(self._file, [self._numbers.get(key, array("q")) for key in keys])

    def _write(self, file: ListFile) -> None:
        for key, items in self._waiting.items():
            self._numbers.setdefault(key, array("q")).append(file.add(items))
        self._waiting, self._count, self._letters = {}, 0, 0


@dataclass(frozen=True, eq=False)
class SortedLists(Lazy[Sequence[Item]], Generic[Item]):
    """Objects on disk, those of one key together."""

    file: ListFile
    numbers: Sequence[array[int]]
    """Of each key, the lists in the file that hold its objects."""

    def __len__(self) -> int:
        return len(self.numbers)

    def make(self, index: int) -> Sequence[Item]:
        return list(chain.from_iterable(map(self.file.read, self.numbers[index])))
