"""A training's curves: one JSON line a row, and the same numbers for TensorBoard.

A training that is killed goes on from its last saved state, which is older than its last row. Opening the curves at
that step drops what came after it, so that a resumed training leaves the same file as one that was never broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from evalkit.checkpoints.training_log import NAME, STEPS, Value, lines, step_of
from evalkit.plumbing.arrays import finite_or_none
from evalkit.plumbing.files import write_atomically, writing

LogRow = dict[str, Value]
"""What a training logs of one update or step."""
Note = Callable[[str], None]
KEPT = "the rows before are kept"
"""Where one could not be written."""


class Curves:
    """The open curves of one training in `folder`, which begins, or goes on, at step `begin`.

    Rows of step `begin` and later are dropped, and so is a last line that was written only in part; the rest is kept to
    the byte. The numbers also go to `folder`/tensorboard where TensorBoard is installed (extra `train`); where it is
    not, `note` is told, once. Raises `StoreError` when the folder cannot be written.
    """

    def __init__(self, folder: Path, begin: int, note: Note = lambda _: None) -> None:
        self._path = folder / NAME
        with writing(self._path, KEPT):
            folder.mkdir(parents=True, exist_ok=True)
            kept = [line for line, row in lines(self._path) if step_of(row) < begin]
            write_atomically(self._path, b"".join(kept))
            self._file = self._path.open("ab")
            writer = _summary_writer(note)
            self._board = writer(str(folder / "tensorboard"), purge_step=begin) if writer else None

    def add(self, row: Mapping[str, Value]) -> None:
        """Append one row, keyed by its `update` or `step`; NaN and infinity become null. It outlives a killed process.

        Raises `StoreError` when the disk is full.
        """
        numbers = {key: _finite(value) for key, value in row.items()}
        step = step_of(numbers)
        with writing(self._path, KEPT):
            self._file.write(json.dumps(numbers, allow_nan=False).encode("ascii") + b"\n")
            self._file.flush()
            if self._board:
                self._tell_board(step, numbers)

    def close(self) -> None:
        """No more rows come. Raises `StoreError` when the last ones cannot be written."""
        with writing(self._path, KEPT):
            self._file.close()
            if self._board:
                self._board.close()

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell_board(self, step: int, numbers: Mapping[str, Value]) -> None:
        assert self._board
        for key, value in numbers.items():
            if key not in STEPS and value is not None:
                self._board.add_scalar(key, value, step)
        self._board.flush()


def _finite(value: Value) -> Value:
    if value is None or isinstance(value, int):
        return value
    return finite_or_none(value)


@cache
def _summary_writer(note: Note) -> Callable[..., Any] | None:
    """TensorBoard's writer; cached, so that each listener is told once that there is none, not once a training."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        note("no TensorBoard logs: it is not installed (pip install 'evalkit[train]'); the curves themselves are kept")
        return None
    writer: Callable[..., Any] = SummaryWriter
    return writer
