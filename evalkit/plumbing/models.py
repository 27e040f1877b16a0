"""Models that measure: what makes one, and how it is asked in batches, wherever it is opened.

A metric says which model is asked what; it knows no devices. Whoever runs metrics may put all devices that there are
to that (`asked_by`). Where nobody does, the model is opened once, in a child process.

What a network answers depends, in its last bits, on what else is in the batch. So batches are made by who asks, before
they are shared out, and answers are the same whoever gives them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from evalkit.plumbing.child_process import open_child
from evalkit.plumbing.lazily import Lazy
from evalkit.plumbing.progress import Scaled
from evalkit.plumbing.spread import spread


@dataclass(frozen=True)
class Model:
    """An object that holds a network."""

    name: str
    """What errors call it: "reward model org/name"."""
    target: str
    """Module and class of the object, with a colon between them.

    Its methods take a batch's items, and give one answer an item.
    """
    args: tuple[Any, ...] = ()
    """What it is made with."""
    here: Callable[[], Any] | None = None
    """What gives it in this process, where it needs neither a GPU nor a process of its own."""


@dataclass(frozen=True)
class Batch:
    """What is asked in one call."""

    items: Sequence[Any]
    """Where they are lazy, they are made when they are asked."""
    beside: tuple[Any, ...] = ()
    """What the method is told besides."""

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the method is called with."""
        return tuple(list(one) if isinstance(one, Lazy) else one for one in (self.items, *self.beside))


class Opened(Protocol):
    """A model in whichever process."""

    def call(self, method: str, *args: Any) -> Any:
        """What the method returns there. Raises its `EvalkitError`, `EngineLost` or `OutOfMemory`."""


Keep = Callable[[int, Sequence[Any]], None]
"""Takes in a batch's number and its answers."""
Asker = Callable[[Model, str, Sequence[Batch], Keep], None]
Sitting = Callable[[], AbstractContextManager[Asker]]


def batched(items: Sequence[Any], most: int) -> list[Batch]:
    """The items in their order, `most` to a batch."""
    return [Batch(items[start : start + most]) for start in range(0, len(items), most)]


def ask(model: Model, method: str, batches: Sequence[Batch], keep: Keep) -> None:
    """Put all batches to a method of a model. `keep` is called in this thread as answers come, in any order.

    They are asked in an order of which any part takes its share of the time. Raises the model's own `EvalkitError`s,
    and `EngineError` where it cannot be opened or fails.
    """
    advance, units = _TOLD.get() or (lambda _: None, 0)
    progress = Scaled(advance, sum(len(batch.items) for batch in batches), units)
    order = spread(range(len(batches)))

    def keep_and_tell(number: int, answered: Sequence[Any]) -> None:
        keep(order[number], answered)
        progress(len(answered))

    _ASKER.get()(model, method, [batches[number] for number in order], keep_and_tell)


@contextmanager
def telling(advance: Callable[[int], None], units: int) -> Iterator[None]:
    """For the length of a `with` block, whatever a model is asked tells of `units` as its answers come."""
    token = _TOLD.set((advance, units))
    try:
        yield
    finally:
        _TOLD.reset(token)


def answers(model: Model, method: str, batches: Sequence[Batch]) -> list[Sequence[Any]]:
    """The answers to each batch, in their order. Raises as `ask` does."""
    kept: dict[int, Sequence[Any]] = {}
    ask(model, method, batches, kept.__setitem__)
    return [kept[number] for number in range(len(batches))]


def ask_one(model: Model, method: str, batches: Sequence[Batch], keep: Keep) -> None:
    """Open the model once, and ask it batch after batch."""
    with open_model(model) as opened:
        for number, batch in enumerate(batches):
            keep(number, opened.call(method, *batch.arguments))


@contextmanager
def open_model(
    model: Model,
    environment: Mapping[str, str] = MappingProxyType({}),
    stopped: threading.Event | None = None,
) -> Iterator[Opened]:
    """Make a model for the length of a `with` block: in this process if it can be, else in a child's.

    `environment` and `stopped` are the child's (`open_child`). Raises `EngineError`.
    """
    if model.here is not None:
        yield _Here(model.here())
        return
    with open_child(model.target, *model.args, title=model.name, environment=environment, stopped=stopped) as remote:
        yield remote


@contextmanager
def asked_by(asker: Asker, sitting: Sitting | None = None) -> Iterator[None]:
    """For the length of a `with` block models are asked by `asker`, and in a `one_sitting` by whom `sitting` opens."""
    asks = _ASKER.set(asker)
    sits = _SITTING.set(sitting)
    try:
        yield
    finally:
        _SITTING.reset(sits)
        _ASKER.reset(asks)


@contextmanager
def one_sitting() -> Iterator[None]:
    """For the length of a `with` block a model stays loaded after it was asked, until another one is.

    It holds its devices as long, so nothing else that needs them belongs into the block.
    """
    sitting = _SITTING.get()
    if sitting is None:
        yield
        return
    with sitting() as asker:
        token = _ASKER.set(asker)
        try:
            yield
        finally:
            _ASKER.reset(token)


@dataclass(frozen=True)
class _Here:
    subject: Any

    def call(self, method: str, *args: Any) -> Any:
        return getattr(self.subject, method)(*args)


_TOLD: ContextVar[tuple[Callable[[int], None], int] | None] = ContextVar("who is told of answers", default=None)
_ASKER: ContextVar[Asker] = ContextVar("who asks models", default=ask_one)
_SITTING: ContextVar[Sitting | None] = ContextVar("who keeps models loaded", default=None)
