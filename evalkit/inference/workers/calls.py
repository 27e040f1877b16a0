"""What is to be asked of a load, and the queue of it that replicas share.

A call that an engine was lost in is made once more. One that it was lost in twice is cut in halves, and those of them
that lose it again are, down to the prompt that does: that one is refused, and the rest has its answers. A call that
needs more memory than there is, is cut at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from evalkit.checkpoints.checkpoint import AS_IT_IS, Checkpoint, EngineSettings
from evalkit.errors import EngineError, OutOfMemory
from evalkit.inference.engines import base
from evalkit.inference.engines.base import Engine, Progress, engine_class, open_engine
from evalkit.plumbing.models import Model, Opened, open_model
from evalkit.plumbing.prose import listed

TRIES = 2
"""Of a call as it was planned, and of one that cannot be cut further."""
LOSSES = 6
"""Engines of one load that are lost in a row, with no call answered in between, before it is given up."""


@dataclass(frozen=True)
class Call:
    """One question to one checkpoint, or to a model that measures."""

    checkpoint: Checkpoint | Model
    size: int
    """Completions, or texts, that it is about."""
    ask: Callable[[Any, Progress], Any]
    """What puts it to an engine that serves the checkpoint, or to the model."""
    keep: Callable[[Any], None]
    """What takes in what `write` returned; in the thread that asked for all calls."""
    halves: Callable[[bool], Sequence[Call]]
    """What it is cut into, where that is wanted also into draws of one prompt; fewer than two where it cannot be."""
    refuse: Callable[[EngineError], None]
    """What is told where it goes without an answer, since no engine survives it."""
    write: Callable[[Any], Any] = lambda answer: answer
    """What puts the answer where it lasts; in another thread than the engine's, beside other calls' answers."""
    kind: str = ""
    """Calls of one kind take alike, a unit of size; those of another may not."""
    expected: float = 1.0
    """How long a unit takes, against those of other kinds, as far as it can be guessed before any is done."""
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

    @property
    def first(self) -> Checkpoint:
        """Which one is served once it is open."""
        return self.checkpoints[0]

    @property
    def settings(self) -> EngineSettings:
        return self.first.settings

    @property
    def needs_gpu(self) -> bool:
        """Whether it takes one where there are some."""
        return True

    @property
    def is_local(self) -> bool:
        return engine_class(self.engine).local

    @property
    def title(self) -> str:
        """What is loaded, for the user."""
        return f"{listed([checkpoint.name for checkpoint in self.checkpoints])} ({self.engine})"

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"engine {self.engine} of checkpoint {listed([repr(one.name) for one in self.checkpoints])}"

    @property
    def target(self) -> str:
        """Module and class of what is opened, with a colon between them."""
        return base.engines()[self.engine].value

    @property
    def args(self) -> tuple[Any, ...]:
        """What it is opened with."""
        return (self.first, self.max_length, *self.checkpoints[1:])

    def open(self, environment: Mapping[str, str], stopped: threading.Event) -> AbstractContextManager[Engine]:
        """In a process of its own on this machine. Raises `EngineError`."""
        first, others = self.first, self.checkpoints[1:]
        return open_engine(self.engine, first, self.max_length, *others, environment=environment, stopped=stopped)


@dataclass(frozen=True)
class ModelLoad:
    """A model that measures texts, and all that is asked of it: to replicas the same as a load of an engine."""

    model: Model
    calls: tuple[Call, ...]
    settings: EngineSettings = AS_IT_IS

    @property
    def doing(self) -> str:
        return f"ask {self.name}"

    @property
    def size(self) -> int:
        return sum(call.size for call in self.calls)

    @property
    def first(self) -> Model:
        return self.model

    @property
    def needs_gpu(self) -> bool:
        return self.model.here is None

    @property
    def title(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def target(self) -> str:
        return self.model.target

    @property
    def args(self) -> tuple[Any, ...]:
        return self.model.args

    def open(self, environment: Mapping[str, str], stopped: threading.Event) -> AbstractContextManager[Opened]:
        """In a process of its own on this machine. Raises `EngineError`."""
        return open_model(self.model, environment, stopped)


AnyLoad = Load | ModelLoad


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
