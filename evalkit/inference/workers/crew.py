"""Replicas at work: each in a thread of its own takes calls from its load's queue until there are none.

A replica makes its next call while its last answer is written, by threads that do only that, and never has two that are
not: what is drawn faster than a disk takes it waits. Answers are taken in by the thread that asked for all of this, so
whatever counts them needs no lock. Loads come in their order, and the next one is opened as soon as a replica of the
one before finds no more calls.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError, EngineLost, EvalkitError, OutOfMemory
from evalkit.inference.engines.base import open_engine
from evalkit.inference.workers.backlog import Backlog
from evalkit.inference.workers.calls import AnyLoad, Call, CallQueue, Load
from evalkit.inference.workers.places import Place
from evalkit.inference.workers.tempo import Tempo
from evalkit.plumbing.models import Model
from evalkit.plumbing.progress import Listener

OPENINGS = 2
"""Times in a row that a replica tries to open an engine where others were opened before."""
WRITERS = 4
"""Threads that write answers: a network's file system takes its time for each, and several at a time."""


@dataclass
class Work:
    """A load while its calls are made."""

    load: AnyLoad
    turn: int
    """Its place among the loads."""
    queue: CallQueue
    replicas: int
    loading: float = 0.0
    """Seconds that the slowest replica took to open."""
    busy: dict[str, float] = field(default_factory=dict)
    """Checkpoint -> seconds of calls that were answered, of all replicas together."""

    def add(self, call: Call, seconds: float) -> None:
        """A call was answered after so many seconds."""
        self.busy[call.checkpoint.name] = self.busy.get(call.checkpoint.name, 0.0) + seconds


@dataclass(frozen=True)
class _Event:
    """What a replica tells."""

    work: Work
    kind: Literal["opened", "progress", "answer", "unwritten", "lost", "refused", "ended"]
    value: Any = None


def make_calls(place: Place, loads: Sequence[AnyLoad], tell: Listener) -> list[Work]:
    """Make all calls of all loads, and hand each answer to its call's `keep`, in this thread; how that went.

    Raises `EngineError`: an engine cannot be opened, or so many were lost in a row that nothing is to be hoped for;
    `InputError`: a load has no room here. What was answered before that is kept.
    """
    servers = [load for load in loads if isinstance(load, Load) and not load.is_local]
    asked = [_ask_server(load, tell) for load in servers]
    return [*asked, *_make_calls_at(place, [load for load in loads if load not in servers], tell)]


def _ask_server(load: Load, tell: Listener) -> Work:
    """A server answers many requests at a time by itself, and mends its own faults: its calls are made one by one."""
    work = Work(load, 0, CallQueue(deque(load.calls)), replicas=1)
    news = _News([work], tell)
    began = time.monotonic()
    with open_engine(load.engine, load.checkpoints[0], load.max_length) as engine:
        work.loading = time.monotonic() - began
        news.take(_Event(work, "opened"), over=False)
        for call in load.calls:
            began = time.monotonic()
            done = _Done(call, lambda told: news.take(_Event(work, "progress", told), over=False))
            call.keep(call.write(call.ask(engine, done.progress)))
            work.add(call, time.monotonic() - began)
    return work


def _make_calls_at(place: Place, loads: Sequence[AnyLoad], tell: Listener) -> list[Work]:
    if not loads:
        return []
    works = [Work(load, turn, CallQueue(deque(load.calls)), place.replicas(load)) for turn, load in enumerate(loads)]
    place.enter(loads)
    crew = _Crew(place, works, tell)
    try:
        crew.start()
        crew.listen()
    finally:
        crew.stop()
    return works


class _Crew:
    """The threads of all replicas, and what they tell."""

    def __init__(self, place: Place, works: Sequence[Work], tell: Listener) -> None:
        self._place = place
        self._works = works
        self._news = _News(works, tell)
        self._note = tell.note
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._writers = ThreadPoolExecutor(WRITERS, "writer")
        self._backlogs = {(work.turn, replica): Backlog() for work in works for replica in range(work.replicas)}
        self._threads = [
            threading.Thread(target=self._replica, args=(works[turn], replica), daemon=True)
            for turn, replica in self._backlogs
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def listen(self) -> None:
        """Take in what replicas tell until all have ended."""
        replicas_left = {work.turn: work.replicas for work in self._works}
        while any(replicas_left.values()):
            event = self._events.get()
            work = event.work
            if event.kind == "answer":
                call, written, seconds, backlog = event.value
                call.keep(written)
                work.add(call, seconds)
                backlog.clear()
            elif event.kind == "unwritten":
                raise event.value
            elif event.kind == "refused":
                call, error = event.value
                call.refuse(error)
            elif event.kind == "lost":
                self._note(f"{event.value}; what it was asked is asked again")
            elif event.kind == "ended":
                replicas_left[work.turn] -= 1
                if event.value is not None:
                    self._without(event.value, work, replicas_left[work.turn])
            self._news.take(event, over=not replicas_left[work.turn])

    def _without(self, error: EvalkitError, work: Work, replicas_left: int) -> None:
        """Go on without a replica, if that can be. Raises its error if not."""
        if not isinstance(error, EngineLost) or (not replicas_left and not work.queue.is_empty):
            raise error
        self._note(f"{error}; {replicas_left} others go on")

    def stop(self) -> None:
        """End all threads, whatever they are doing; what was answered is written."""
        for work in self._works:
            work.queue.close()
        for backlog in self._backlogs.values():
            backlog.close()
        self._place.close()
        for thread in self._threads:
            thread.join()
        self._writers.shutdown()

    def _replica(self, work: Work, replica: int) -> None:
        failure: EvalkitError | None = None
        try:
            self._serve(work, replica)
        except EvalkitError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread that listens must hear of it
            failure = EngineError(f"{type(error).__name__}: {error}")
        self._backlogs[work.turn, replica].wait()
        self._tell(work, "ended", failure)

    def _serve(self, work: Work, replica: int) -> None:
        """Open an engine and make calls, with another one where it is lost. Raises `EvalkitError`s."""
        failed_openings = 0
        while not work.queue.is_empty:
            began = time.monotonic()
            is_open = False
            try:
                with self._place.open(work.load, (work.turn, replica), lambda: not work.queue.is_empty) as engine:
                    if engine is None:
                        return
                    is_open, failed_openings = True, 0
                    work.loading = max(work.loading, time.monotonic() - began)
                    self._tell(work, "opened")
                    self._make_calls(work, engine, self._backlogs[work.turn, replica])
            except EngineLost as error:
                failed_openings += 1
                if is_open or failed_openings == OPENINGS or not work.queue.any_answered:
                    raise
                self._tell(work, "lost", error)

    def _make_calls(self, work: Work, engine: Any, backlog: Backlog) -> None:
        """Make calls until there are none, or the engine is not what it was."""
        turned_to: Checkpoint | Model = work.load.first
        while (call := work.queue.take()) is not None:
            done = _Done(call, lambda told: self._tell(work, "progress", told))
            try:
                if call.checkpoint != turned_to:
                    engine.turn_to(call.checkpoint)
                    turned_to = call.checkpoint
                began = time.monotonic()
                answer = call.ask(engine, done.progress)
            except (EngineLost, OutOfMemory) as error:
                done.take_back()
                self._tell(work, "lost", error)
                if not work.queue.failed(call, error):
                    self._tell(work, "refused", (call, error))
                return
            seconds = time.monotonic() - began
            work.queue.answered()
            backlog.add()
            self._writers.submit(self._write, work, call, answer, seconds, backlog)

    def _write(self, work: Work, call: Call, answer: Any, seconds: float, backlog: Backlog) -> None:
        """Write an answer, and have the thread that listens take it in, or raise why it could not be written."""
        try:
            self._tell(work, "answer", (call, call.write(answer), seconds, backlog))
        except BaseException as error:  # noqa: BLE001 - as in `_replica`
            self._tell(work, "unwritten", error)

    def _tell(self, work: Work, kind: Any, value: Any = None) -> None:
        self._events.put(_Event(work, kind, value))


@dataclass(frozen=True)
class _Step:
    """What was done since a call told of itself before."""

    kind: str
    amount: int
    tokens: int
    seconds: float


class _Done:
    """How far a call has come, so that it can be taken back."""

    def __init__(self, call: Call, tell: Callable[[_Step], None]) -> None:
        self._kind, self._tell = call.kind, tell
        self._amount = self._tokens = 0
        self._began = self._told = time.monotonic()

    def progress(self, amount: int, tokens: int = 0) -> None:
        before, self._told = self._told, time.monotonic()
        self._add(amount, tokens, self._told - before)

    def take_back(self) -> None:
        self._add(-self._amount, -self._tokens, self._began - self._told)

    def _add(self, amount: int, tokens: int, seconds: float) -> None:
        self._amount += amount
        self._tokens += tokens
        self._tell(_Step(self._kind, amount, tokens, seconds))


class _News:
    """What the user is shown: one load after the other, though the next may be at work already."""

    def __init__(self, works: Sequence[Work], tell: Listener) -> None:
        self._tell = tell
        self._works = list(works)
        self._tempo = Tempo(())
        self._ahead: dict[int, list[_Event]] = {}
        self._over: set[int] = set()
        self._current = -1
        self._is_open = False
        self._next()

    def take(self, event: _Event, over: bool) -> None:
        if over:
            self._over.add(event.work.turn)
        if event.work.turn == self._current:
            self._show(event)
        else:
            self._ahead.setdefault(event.work.turn, []).append(event)
        while self._current in self._over:
            self._next()

    def _next(self) -> None:
        self._current += 1
        if self._current < len(self._works):
            load = self._works[self._current].load
            self._is_open = False
            self._tempo = Tempo(load.calls)
            self._tell.stage(f"load {load.title}", 1)
            for event in self._ahead.pop(self._current, []):
                self._show(event)

    def _show(self, event: _Event) -> None:
        if event.kind == "opened" and not self._is_open:
            self._is_open = True
            self._tell.advance(1)
            self._tell.stage(event.work.load.doing, event.work.load.size)
            self._tell.ready()
        elif event.kind == "progress":
            step: _Step = event.value
            self._tempo.add(step.kind, step.amount, step.seconds)
            self._tell.reached(self._tempo.share)
            self._tell.advance(step.amount, step.tokens)
