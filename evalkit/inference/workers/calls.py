"""What is to be asked of a load, and the queue of it that replicas share.

A call that an engine was lost in is made once more. One that it was lost in twice is cut in halves, and those of them
that lose it again are, down to the prompt that does: that one is refused, and the rest has its answers. A call that
needs more memory than there is, is cut at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError, OutOfMemory
from evalkit.inference.engines.base import Engine, Progress

TRIES = 2
"""Of a call as it was planned, and of one that cannot be cut further."""
LOSSES = 6
"""Engines of one load that are lost in a row, with no call answered in between, before it is given up."""


@dataclass(frozen=True)
class Call:
    """One question to one checkpoint."""

    checkpoint: Checkpoint
    size: int
    """Completions, or texts, that it is about."""
    ask: Callable[[Engine, Progress], Any]
    """What puts it to an engine that serves the checkpoint."""
    keep: Callable[[Any], None]
    """What takes in what `write` returned; in the thread that asked for all calls."""
    halves: Callable[[bool], Sequence[Call]]
    """What it is cut into, where that is wanted also into draws of one prompt; fewer than two where it cannot be."""
    refuse: Callable[[EngineError], None]
    """What is told where it goes without an answer, since no engine survives it."""
    write: Callable[[Any], Any] = lambda answer: answer
    """What puts the answer where it lasts; in another thread than the engine's, beside other calls' answers."""
    tries: int = 0


@dataclass(frozen=True)
class Load:
    """Checkpoints that one load of an engine serves, and all that is asked of them."""

    doing: str
    """What it is loaded for, for the user."""
    engine: str
    checkpoints: tuple[Checkpoint, ...]
    max_length: int
    calls: tuple[Call, ...]

    @property
    def size(self) -> int:
        return sum(call.size for call in self.calls)


@dataclass
class CallQueue:
    """The calls of one load that are still to be made; many threads take from it."""

    _waiting: deque[Call]
    any_answered: bool = False
    _lost_in_a_row: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def take(self) -> Call | None:
        """The next call; None where there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def answered(self) -> None:
        """A call was answered, by whichever replica."""
        with self._lock:
            self.any_answered = True
            self._lost_in_a_row = 0

    def close(self) -> None:
        """What is not taken yet never will be."""
        with self._lock:
            self._waiting.clear()

    def failed(self, call: Call, error: EngineError) -> bool:
        """Put back what is to be tried of a call that failed; whether there is anything.

        Raises `EngineError` where the load is given up.
        """
        parts = _again(call, error)
        with self._lock:
            if not isinstance(error, OutOfMemory):
                self._lost_in_a_row += 1
            if self._lost_in_a_row >= LOSSES:
                raise EngineError(f"{error}; given up, for {LOSSES} engines in a row were lost")
            # At the end, so that what is sound is answered before what may not be is asked again.
            self._waiting.extend(parts)
        return bool(parts)


def _again(call: Call, error: EngineError) -> Sequence[Call]:
    """What is to be tried of a call that failed: itself, its halves, or nothing."""
    is_full = isinstance(error, OutOfMemory)
    tried = replace(call, tries=call.tries + 1)
    if not is_full and tried.tries < TRIES:
        return [tried]
    halves = call.halves(is_full)
    if len(halves) < 2:
        return [tried] if tried.tries < TRIES else []
    # After its whole was tried twice a half is tried once, but for one that cannot be cut further.
    return [replace(half, tries=TRIES - 1 if len(half.halves(False)) > 1 else 0) for half in halves]
