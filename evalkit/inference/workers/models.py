"""Models that measure texts, asked on all devices of a machine or of a cluster: encoders, reward models, NLI models.

They go the way of engines: replicas take batches from one queue, what was lost is asked again, and what does not fit
is cut in halves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from evalkit.errors import EngineError
from evalkit.inference.workers.calls import Call, ModelLoad
from evalkit.inference.workers.crew import make_calls
from evalkit.inference.workers.kept_loaded import KeptLoaded
from evalkit.inference.workers.places import Place, place_of
from evalkit.plumbing.models import Asker, Batch, Keep, Model, Opened, ask_one, asked_by
from evalkit.plumbing.progress import Listener, Quiet


@contextmanager
def measured_on(cluster: str | None, tell: Listener) -> Iterator[None]:
    """For the length of a `with` block, models that measure are opened on all devices that there are.

    `cluster`: the address of a Ray cluster ("auto": the one that is found); None: this machine. Whoever asks tells the
    progress; `tell` is told of faults, and when a model is loaded.
    """
    make, aside = partial(place_of, cluster), _Aside(tell)
    with asked_by(partial(_ask, cluster, make, aside), partial(_sitting, cluster, make, aside)):
        yield


@contextmanager
def _sitting(cluster: str | None, make: Callable[[], Place], tell: Listener) -> Iterator[Asker]:
    place = KeptLoaded(make)
    try:
        yield partial(_ask, cluster, lambda: place, tell)
    finally:
        place.release()


def _ask(
    cluster: str | None,
    place: Callable[[], Place],
    tell: Listener,
    model: Model,
    method: str,
    batches: Sequence[Batch],
    keep: Keep,
) -> None:
    if model.here is not None and (cluster is None or len(batches) < 2):
        ask_one(model, method, batches, keep)  # sooner than an actor is there
    elif batches:
        load = _Asking(model, method, batches, keep).load()
        make_calls(place(), [load], tell)


class _Asking:
    """Batches become calls, and the answers of what was cut become those of the batch again."""

    def __init__(self, model: Model, method: str, batches: Sequence[Batch], keep: Keep) -> None:
        self._model = model
        self._method = method
        self._batches = batches
        self._keep = keep
        self._parts: dict[int, dict[int, Sequence[Any]]] = defaultdict(dict)

    def load(self) -> ModelLoad:
        calls = tuple(self._call(number, 0, batch) for number, batch in enumerate(self._batches))
        return ModelLoad(self._model, calls)

    def _call(self, number: int, start: int, part: Batch) -> Call:
        """All of a batch, or a part of it that begins at `start`."""

        def ask(model: Opened, _: object) -> Sequence[Any]:
            answers: Sequence[Any] = model.call(self._method, *part.arguments)
            return answers

        def halves(_: bool) -> list[Call]:
            items = list(part.items)
            middle = len(items) // 2
            cuts = ((0, items[:middle]), (middle, items[middle:]))
            return [self._call(number, start + at, replace(part, items=cut)) for at, cut in cuts if cut]

        take = partial(self._take, number, start)
        return Call(self._model, len(part.items), ask, take, halves, refuse=_fail)

    def _take(self, number: int, start: int, answers: Sequence[Any]) -> None:
        parts = self._parts[number]
        parts[start] = answers
        if sum(map(len, parts.values())) == len(self._batches[number].items):
            self._keep(number, [answer for begin in sorted(parts) for answer in parts[begin]])
            del self._parts[number]


class _Aside(Quiet):
    """Hands on notes, and that a model is loaded: the stage is that of whoever asks."""

    def __init__(self, tell: Listener) -> None:
        self._tell = tell

    def ready(self) -> None:
        self._tell.ready()

    def note(self, text: str) -> None:
        self._tell.note(text)


def _fail(error: EngineError) -> None:
    raise error
