"""What a training logged: one JSON line a row, in its `.work` folder while it goes on, then in the folder it made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from evalkit.checkpoints.checkpoint import Checkpoint

Value = float | int | None
Row = dict[str, Value]
NAME = "curves.jsonl"
STEPS = ("update", "step")
"""What a row may be keyed by: PPO counts updates, the other trainings optimiser steps."""
COLUMNS = ("reward", "kl", "entropy")
"""Of a row: what the report draws."""
POINTS = 100
"""A longer training is drawn as so many means of neighbouring rows: an update's own reward is mostly noise."""


def work_of(policy: Path) -> Path:
    """The folder of a training's log and state, beside the policy that it makes."""
    return policy.parent / f"{policy.name}.work"


def read_curves(folder: Path) -> list[Row]:
    """The rows of a training, oldest first; none where it has not begun. A half-written last line is left out."""
    return [row for _, row in lines(folder / NAME)]


def step_of(row: Mapping[str, Any]) -> int:
    """The row's `update`, or else its `step`."""
    return int(row["update"] if "update" in row else row["step"])


def lines(path: Path) -> Iterator[tuple[bytes, Row]]:
    """Every whole line with its row. A line that a crash left without its end is no row."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        row = _row(line)
        if row is not None:
            yield line, row


def trainings_of(checkpoints: Iterable[Checkpoint]) -> tuple[Training, ...]:
    """The trainings of those that carry the log of theirs."""
    local = [checkpoint for checkpoint in checkpoints if not checkpoint.is_remote]
    trainings = [
        read_training(
            checkpoint.name, Path(checkpoint.location if checkpoint.adapter is None else checkpoint.adapter.location)
        )
        for checkpoint in local
    ]
    return tuple(training for training in trainings if training)


def read_training(checkpoint: str, policy: Path) -> Training | None:
    """How the policy in this folder was tuned; None where there is no log of it, or one that cannot be read."""
    try:
        rows = [(step_of(row), row) for row in read_curves(policy)]
    except (OSError, ValueError, TypeError, OverflowError, RecursionError):
        # A log is for the eye. What was sampled is good without it.
        return None
    blocks = _blocks(rows)
    columns = {name: tuple(_mean([row.get(name) for _, row in block]) for block in blocks) for name in COLUMNS}
    if not any(value is not None for column in columns.values() for value in column):
        return None
    return Training(
        checkpoint,
        counted="update" if "update" in rows[0][1] else "step",
        every=len(blocks[0]),
        steps=tuple(block[-1][0] for block in blocks),
        **columns,
    )


def _blocks(rows: Sequence[tuple[int, Row]]) -> list[Sequence[tuple[int, Row]]]:
    size = max(1, math.ceil(len(rows) / POINTS))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _mean(values: Sequence[object]) -> float | None:
    known = [float(value) for value in values if _is_usable(value)]
    return float(f"{sum(known) / len(known):.6g}") if known else None


def _is_usable(value: object) -> TypeGuard[float]:
    """A number whose mean with others is one too, whatever a damaged or made-up log holds."""
    return isinstance(value, int | float) and abs(value) < 1e300


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    whole = line.endswith(b"\n") and isinstance(row, dict) and not {*STEPS}.isdisjoint(row)
    return row if whole else None


@dataclass(frozen=True, slots=True)
class Training:
    """How one checkpoint was tuned: what its training logged, of N points, oldest first."""

    checkpoint: str
    counted: Literal["update", "step"]
    """What `steps` count."""
    every: int
    """Rows of the log that one point is the mean of; the last point may have fewer."""
    steps: tuple[int, ...]
    """(N,) the last row of each point."""
    reward: tuple[float | None, ...]
    """(N,) mean reward a completion, as the reward model gives it."""
    kl: tuple[float | None, ...]
    """(N,) KL from the reference, nats a completion."""
    entropy: tuple[float | None, ...]
    """(N,) entropy of the policy, nats a completion."""
