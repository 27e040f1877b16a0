"""The same work on every row of some sequences: here, or shared out over processes where the items are made lazily.

Processes are children that start anew (`child_process`), never forks: threads of a library that is loaded here would
be cut off in a fork. Each gets the work and the sequences once, as what makes their items, and then row numbers; what
it sends back is the work's results. Rows go to whoever is free, so results do not depend on how many there are. A child
that dies is replaced, and its rows are taken again, once.
"""

from __future__ import annotations

import os
import pickle
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from evalkit.plumbing.child_process import ChildDied, Remote, open_child
from evalkit.plumbing.lazily import is_lazy

Result = TypeVar("Result", covariant=True)
MOST_PROCESSES = 12
"""Each takes 0.2 GB and what one row takes: with more, memory would grow with the machine."""
MOST_ROWS = 32
"""Rows that a child is given at once at most, ..."""
SHARES = 16
"""... and into how many portions a child's part of the work is cut at least, so that no one waits long for the last."""


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
    """The work's result for every row of some sequences; `advance` is told of rows as they are done.

    `here`: in this process whatever the sequences are. Raises what the work raises; of its errors in another process,
    those that are no `EvalkitError` as `EngineError`.
    """
    rows = max(map(len, columns.values()), default=0)
    packed = None if here or rows < 2 or not is_shared(columns) else _packed(work, columns)
    if packed is None:
        return [_done(work, columns, row, advance) for row in range(rows)]
    return _Sharing[Result](packed, rows, min(rows, cores(), MOST_PROCESSES), advance).results()


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


def _done(
    work: Work[Result], columns: Mapping[str, Sequence[Any]], row: int, advance: Callable[[int], None]
) -> Result:
    result = work(row, {name: column[row] for name, column in columns.items() if row < len(column)})
    advance(1)
    return result


def _packed(*things: object) -> bytes | None:
    try:
        return pickle.dumps(things)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None


class Worker:
    """In a child: the work and the sequences."""

    def __init__(self, packed: bytes) -> None:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        threadpool_limits(limits=1)  # the processes share the cores already
        self._work, self._columns = pickle.loads(packed)  # noqa: S301 - from our own parent

    def do(self, rows: range) -> list[Any]:
        return [_done(self._work, self._columns, row, lambda _: None) for row in rows]


@dataclass
class _Sharing(Generic[Result]):
    """Rows on their way to children, and results on their way back."""

    packed: bytes
    rows: int
    processes: int
    advance: Callable[[int], None]
    todo: queue.SimpleQueue[range] = field(default_factory=queue.SimpleQueue)
    done: queue.SimpleQueue[tuple[range, Any]] = field(default_factory=queue.SimpleQueue)
    """Rows and their results, or the error instead."""
    children: list[Remote] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def results(self) -> list[Result]:
        portion = max(1, min(MOST_ROWS, self.rows // (self.processes * SHARES)))
        portions = [range(start, min(start + portion, self.rows)) for start in range(0, self.rows, portion)]
        for rows in portions:
            self.todo.put(rows)
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(self.processes)]
        for thread in threads:
            thread.start()
        found: dict[range, list[Result]] = {}
        try:
            for rows, results in self._arriving(len(portions)):
                found[rows] = results
                self.advance(len(rows))
        finally:
            self.stopped.set()
            for child in self.children:
                child.kill()
            for thread in threads:
                thread.join()
        return [result for rows in portions for result in found[rows]]

    def _arriving(self, count: int) -> Iterator[tuple[range, list[Result]]]:
        for _ in range(count):
            rows, results = self.done.get()
            if isinstance(results, BaseException):
                raise results
            yield rows, results

    def _serve(self) -> None:
        """One thread: its child, and another where that one dies."""
        tried: range | None = None
        rows = self._next()
        while rows is not None and not self.stopped.is_set():
            try:
                with open_child("evalkit.plumbing.by_row:Worker", self.packed, title="a measuring process") as child:
                    self.children.append(child)
                    while rows is not None and not self.stopped.is_set():
                        self.done.put((rows, child.call("do", rows)))
                        rows = self._next()
            except ChildDied as error:
                if tried == rows:
                    self.done.put((rows, error))
                    return
                tried = rows
            except Exception as error:  # noqa: BLE001 - whatever it is, who waits for these rows is told
                self.done.put((rows, error))
                return

    def _next(self) -> range | None:
        try:
            return self.todo.get_nowait()
        except queue.Empty:
            return None
