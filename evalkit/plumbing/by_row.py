"""The same work on every row of some sequences: here, or shared out over processes where the items are made lazily.

Processes are children that start anew (`child_process`), never forks: threads of a library that is loaded here would
be cut off in a fork. Each gets the work and the sequences once, as what makes their items, and then row numbers; what
it sends back is the work's results. Rows go to whoever is free, so results do not depend on how many there are. A child
that dies is replaced, and its rows are taken again, once.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pickle
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from evalkit.errors import EvalkitError
from evalkit.plumbing.child_process import ChildDiedError, open_child
from evalkit.plumbing.lazily import Lazy, is_lazy
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.spread import spread

Result = TypeVar("Result", covariant=True)
MOST_PROCESSES = 12
"""Each takes 0.2 GB and what one row takes: with more, memory would grow with the machine."""
MOST_ROWS = 32
"""Rows that a child is given at once at most, ..."""
SHARES = 64
"""... and into how many portions a child's part of the work is cut at least, so that no one waits long for the last
and it is known to a hundredth how far all are."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Of each child, for they share the cores already; libraries look for it when work first needs them."""
TITLE = "a process that measures"
"""What a child is called in errors."""


class Work(Protocol[Result]):
    """What is done with a row. To be shared out it must survive pickling."""

    def __call__(self, row: int, items: Mapping[str, Any], /) -> Result:
        """The result of one row: name of a sequence -> its item in this row."""


def by_row(
    work: Work[Result],
    columns: Mapping[str, Sequence[Any]],
    advance: Callable[[int], None] = lambda _: None,
    here: bool = False,
) -> list[Result]:
    """The work's result for every row of some sequences; `advance` is told of rows as they are done,
    in an order of which any part takes its share of the time.

    `here`: in this process whatever the sequences are. Raises what the work raises; of its errors in another process,
    those that are no `EvalkitError` as `EngineError`.
    """
    rows = max(map(len, columns.values()), default=0)
    packed = None if here or rows < 2 or not is_shared(columns) else _packed(work, columns)
    if packed is None:
        results = {row: _done(work, columns, row, advance) for row in spread(range(rows))}
        return [results[row] for row in range(rows)]
    return _Sharing[Result](packed, rows, min(rows, cores(), MOST_PROCESSES), advance).results()


def start_processes(columns: Mapping[str, Sequence[Any]], modules: Sequence[str], tell: Listener) -> None:
    """Start the processes to which work on these sequences will be shared out, with the modules that it needs.

    So their start is told of by itself, and no row of the work takes longer than another for it.
    """
    rows = max(map(len, columns.values()), default=0)
    processes = min(rows, cores(), MOST_PROCESSES)
    if processes > 1 and is_shared(columns):
        tell.stage("start processes", processes)
        by_row(_Loaded(tuple(modules)), {"": _Nothing(processes)}, tell.advance)


@dataclass(frozen=True)
class _Loaded:
    """Work that is done once a process has its modules."""

    modules: tuple[str, ...]

    def __call__(self, row: int, items: Mapping[str, Any]) -> None:
        for name in self.modules:
            importlib.import_module(name)


@dataclass(frozen=True, eq=False)
class _Nothing(Lazy[None]):
    """Rows with nothing in them."""

    rows: int

    def __len__(self) -> int:
        return self.rows

    def make(self, index: int) -> None:
        return None


def is_shared(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Whether work on these sequences is shared out: where their items are not in this process's memory anyway."""
    return cores() > 1 and is_lazy(columns)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def is_portable(thing: object) -> bool:
    """Whether it can go to another process: what is defined in a script that runs, or in a function, cannot."""
    packed = _packed(thing)
    return packed is not None and b"__main__" not in packed


def _done(work: Work[Result], columns: Mapping[str, Sequence[Any]], row: int, advance: Callable[[int], None]) -> Result:
    result = work(row, {name: column[row] for name, column in columns.items() if row < len(column)})
    advance(1)
    return result


def _packed(*things: object) -> bytes | None:
    try:
        return pickle.dumps(things)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None


class Worker:
    """In a child: the work and the sequences that it was given last."""

    def take(self, packed: bytes) -> None:
        self._work, self._columns = pickle.loads(packed)  # noqa: S301 - from our own parent

    def do(self, rows: range) -> list[Any]:
        return [_done(self._work, self._columns, row, lambda _: None) for row in rows]


class _Child:
    """A child process, kept for the next work when it has done one: it takes a second to start."""

    idle: ClassVar[list[_Child]] = []

    def __init__(self) -> None:
        self._stack = ExitStack()
        child = open_child("evalkit.plumbing.by_row:Worker", title=TITLE, environment=ONE_THREAD)
        self._remote = self._stack.enter_context(child)

    @classmethod
    def with_work(cls, packed: bytes) -> _Child:
        child = cls.idle.pop() if cls.idle else cls()
        try:
            child._remote.call("take", packed)
        except BaseException:
            child.end()
            raise
        return child

    def do(self, rows: range) -> list[Any]:
        results: list[Any] = self._remote.call("do", rows)
        return results

    def kill(self) -> None:
        self._remote.kill()

    def end(self) -> None:
        self.kill()
        with suppress(EvalkitError):
            self._stack.close()


@atexit.register
def _end_idle() -> None:
    while _Child.idle:
        _Child.idle.pop().end()


@dataclass
class _Sharing(Generic[Result]):
    """Rows on their way to children, and results on their way back."""

    packed: bytes
    rows: int
    processes: int
    advance: Callable[[int], None]
    todo: queue.SimpleQueue[range] = field(default_factory=queue.SimpleQueue)
    done: queue.SimpleQueue[tuple[range | None, Any]] = field(default_factory=queue.SimpleQueue)
    """Rows and their results, or the error instead."""
    working: dict[int, _Child] = field(default_factory=dict)
    """Thread -> its child."""
    stopped: threading.Event = field(default_factory=threading.Event)

    def results(self) -> list[Result]:
        portion = max(1, min(MOST_ROWS, self.rows // (self.processes * SHARES)))
        portions = [range(start, min(start + portion, self.rows)) for start in range(0, self.rows, portion)]
        for rows in spread(portions):
            self.todo.put(rows)
        threads = [threading.Thread(target=self._serve, args=(row,), daemon=True) for row in range(self.processes)]
        for thread in threads:
            thread.start()
        found: dict[range, list[Result]] = {}
        try:
            for rows, results in self._arriving(len(portions)):
                found[rows] = results
                self.advance(len(rows))
        except BaseException:
            self.stopped.set()
            for child in list(self.working.values()):
                child.kill()
            raise
        finally:
            for thread in threads:
                thread.join()
        return [result for rows in portions for result in found[rows]]

    def _arriving(self, count: int) -> Iterator[tuple[range, list[Result]]]:
        for _ in range(count):
            rows, results = self.done.get()
            if rows is None or isinstance(results, BaseException):
                raise results
            yield rows, results

    def _serve(self, thread: int) -> None:
        """One thread: its child, and another where that one dies."""
        died_on: range | None = None
        rows = self._next()
        while rows is not None and not self.stopped.is_set():
            try:
                child = self.working[thread] = _Child.with_work(self.packed)
                while rows is not None and not self.stopped.is_set():
                    self.done.put((rows, child.do(rows)))
                    rows = self._next()
                _Child.idle.append(self.working.pop(thread))
            except Exception as error:  # noqa: BLE001 - whatever it is, who waits for these rows is told
                if thread in self.working:
                    self.working.pop(thread).end()
                if died_on == rows or not isinstance(error, ChildDiedError):
                    self.done.put((rows, error))
                    return
                died_on = rows

    def _next(self) -> range | None:
        try:
            return self.todo.get_nowait()
        except queue.Empty:
            return None
