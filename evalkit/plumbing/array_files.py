"""Arrays of numbers in files, some rows of them at a time: what does not fit into memory at once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.plumbing.files import writing
from evalkit.plumbing.scratch import Scratch

Floats = NDArray[np.float32]
BYTES = 4
"""Of a number."""


class ArrayFile:
    """(rows, *rest) float32 in a file that goes with this object; in another process, what reads it there."""

    def __init__(self, rows: int, rest: tuple[int, ...] = (), path: Path | None = None) -> None:
        """A new one, empty until it is written, or the one at a path. Raises `StoreError`."""
        self.shape = (rows, *rest)
        # What keeps the file there; nothing in another process.
        self._file = Scratch(".floats") if path is None else None
        self._path = path or self._file.path  # type: ignore[union-attr]

    def __setitem__(self, rows: slice, values: NDArray[Any]) -> None:
        """Write some consecutive rows. Raises `StoreError`."""
        start, _, _ = rows.indices(self.shape[0])
        with writing(self._path), self._path.open("r+b") as file:
            file.seek(start * self._row)
            file.write(np.ascontiguousarray(values, dtype=np.float32).tobytes())

    def __getitem__(self, rows: slice) -> Floats:
        """Some consecutive rows."""
        start, stop, _ = rows.indices(self.shape[0])
        # Read, not mapped: what was looked at would stay resident.
        flat = np.fromfile(self._path, np.float32, count=(stop - start) * self._row // BYTES, offset=start * self._row)
        return flat.reshape(stop - start, *self.shape[1:])

    def mapped(self) -> Floats:
        """All rows, for whoever goes through them once and in order."""
        if not self.shape[0]:
            return np.empty(self.shape, dtype=np.float32)
        return np.memmap(self._path, np.float32, mode="r", shape=self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayFile, (self.shape[0], self.shape[1:], self._path)

    @property
    def _row(self) -> int:
        return BYTES * math.prod(self.shape[1:])


Rows: TypeAlias = NDArray[Any] | ArrayFile
"""Rows of numbers that are read and written as slices, wherever they are."""
