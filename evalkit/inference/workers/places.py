"""Where engines live: this machine's devices, or a cluster's."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any, Protocol

from evalkit.errors import InputError, Interrupted
from evalkit.inference.workers.calls import AnyLoad


class Place(Protocol):
    """Where replicas of engines, and of models that measure, are opened."""

    def replicas(self, load: AnyLoad) -> int:
        """How many replicas a load gets. Raises `InputError`: it fits nowhere here."""

    def enter(self, loads: Sequence[AnyLoad]) -> None:
        """Told, before any is opened, of all that will be."""

    def open(self, load: AnyLoad, turn: tuple[int, int], is_wanted: Callable[[], bool]) -> AbstractContextManager[Any]:
        """An engine or a model, once there is room; None where none `is_wanted` by then.

        Those with a lower turn go first. Raises `EngineError`, `Interrupted`.
        """

    def close(self) -> None:
        """From now on whoever waits here, for room or for an answer, gets `Interrupted`."""


def visible_devices() -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES would call the GPUs that this process may use; none on a machine without."""
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        return tuple(name.strip() for name in stated.split(",") if name.strip() not in ("", "-1"))
    import torch

    return tuple(str(number) for number in range(torch.cuda.device_count()))


class ThisMachine:
    """Engines and models in child processes, each with GPUs of its own; without any, with a share of the processor."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._room = _Room(())

    @cached_property
    def _gpus(self) -> tuple[str, ...]:
        return visible_devices()

    def replicas(self, load: AnyLoad) -> int:
        settings = load.settings
        most = len(self._gpus) // settings.devices if self._gpus else settings.replicas or 1
        if (settings.replicas or 1) > most:
            raise InputError(_too_many(load, len(self._gpus)))
        return min(settings.replicas or most, len(load.calls))

    def enter(self, loads: Sequence[AnyLoad]) -> None:
        # Without GPUs there is room for the replicas of one load at a time, each with its share of the cores.
        self._room = _Room(self._gpus or [""] * max(self.replicas(load) for load in loads))

    @contextmanager
    def open(self, load: AnyLoad, turn: tuple[int, int], is_wanted: Callable[[], bool]) -> Iterator[Any]:
        replicas = self.replicas(load)
        count = load.settings.devices if self._gpus else self._room.size // replicas
        with self._room.taken(count, turn) as names:
            if not is_wanted():
                yield None
                return
            environment = {"CUDA_VISIBLE_DEVICES": ",".join(names)} if self._gpus else _share(replicas)
            with load.open(environment, self._stopped) as opened:
                yield opened

    def close(self) -> None:
        self._stopped.set()
        self._room.close()


class _Room:
    """Devices that are lent in turn: who comes first is served first, however few devices the next one needs."""

    def __init__(self, names: Sequence[str]) -> None:
        self.size = len(names)
        self._free = list(names)
        self._waiting: set[tuple[int, int]] = set()
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def taken(self, count: int, turn: tuple[int, int]) -> Iterator[list[str]]:
        """So many devices. Raises `Interrupted` where the room is closed before there are."""
        with self._changed:
            self._waiting.add(turn)
            self._changed.wait_for(lambda: self._closed or (min(self._waiting) == turn and len(self._free) >= count))
            if self._closed:
                raise Interrupted("stopped before there was room for an engine")
            self._waiting.discard(turn)
            names = [self._free.pop(0) for _ in range(count)]
            self._changed.notify_all()
        try:
            yield names
        finally:
            with self._changed:
                self._free = sorted([*self._free, *names])
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _share(replicas: int) -> Mapping[str, str]:
    """Of the cores, for each of several processes; a number that the user set stays."""
    if replicas == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // replicas))}


def _too_many(load: AnyLoad, gpus: int) -> str:
    settings = load.settings
    needed = settings.devices * (settings.replicas or 1)
    return (
        f"checkpoint {load.first.name!r} asks for {needed} GPUs (tensor_parallel {settings.tensor_parallel} x "
        f"pipeline_parallel {settings.pipeline_parallel} x replicas {settings.replicas or 1}), and {gpus} are visible "
        "here; lower one of them, or let more be seen in CUDA_VISIBLE_DEVICES"
    )


def place_of(cluster: str | None) -> Place:
    """The Ray cluster at an address ("auto": the one that is there, else one started here); None: this machine."""
    if cluster is None:
        return ThisMachine()
    from evalkit.inference.workers.ray_cluster import RayCluster

    return RayCluster(cluster)
