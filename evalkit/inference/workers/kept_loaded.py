"""A place whose models stay loaded for the next question, until another model is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from evalkit.inference.workers.calls import AnyLoad
from evalkit.inference.workers.places import Place
from evalkit.plumbing.models import Opened


class KeptLoaded:
    """Another place, of which one load at a time is asked; what it opened is closed by `release`."""

    def __init__(self, make: Callable[[], Place]) -> None:
        """`make`: a new one, for what was stopped can open nothing more."""
        self._make = make
        self._place = make()
        self._model: object = None
        self._idle: list[tuple[_Watched, ExitStack]] = []
        self._in_use = 0
        self._is_stopped = False
        self._lock = threading.Lock()

    def replicas(self, load: AnyLoad) -> int:
        return self._place.replicas(load)

    def enter(self, loads: Sequence[AnyLoad]) -> None:
        [load] = loads
        if load.first == self._model and self.replicas(load) <= len(self._idle):
            return
        self.release()
        self._model = load.first
        self._place.enter(loads)

    @contextmanager
    def open(self, load: AnyLoad, turn: tuple[int, int], is_wanted: Callable[[], bool]) -> Iterator[Any]:
        with self._lock:
            self._in_use += 1
            idle = self._idle.pop() if self._idle else None
        try:
            with ExitStack() as stack:
                if idle is None:
                    opened = stack.enter_context(self._place.open(load, turn, is_wanted))
                    model = None if opened is None else _Watched(opened)
                else:
                    model, opening = idle
                    stack.push(opening)
                yield model
                if model is not None and not model.has_failed:
                    with self._lock:
                        self._idle.append((model, stack.pop_all()))
        finally:
            with self._lock:
                self._in_use -= 1

    def close(self) -> None:
        with self._lock:
            self._is_stopped = self._is_stopped or self._in_use > 0
        if self._is_stopped:
            self._place.close()

    def release(self) -> None:
        """Close all that is open."""
        with ExitStack() as stack:
            for _, opening in self._idle:
                stack.push(opening)
            self._idle.clear()
        self._model = None
        if self._is_stopped:
            self._place, self._is_stopped = self._make(), False


class _Watched:
    """A model, of which it is known whether it may be asked again."""

    def __init__(self, subject: Opened) -> None:
        self._subject = subject
        self.has_failed = False

    def call(self, method: str, *args: Any) -> Any:
        try:
            return self._subject.call(method, *args)
        except BaseException:
            self.has_failed = True
            raise
