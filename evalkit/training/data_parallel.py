"""Processes among which a training on given items shares each minibatch.

Every process holds whole networks and all items, takes its share of a minibatch, and adds its gradients to those of
the others; so all take the same step, and it is the one that a single process would take. The first one alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from torch import distributed, nn

from evalkit.errors import EvalkitError, InputError
from evalkit.training.distributed import is_of_network

Item = TypeVar("Item")
Value = TypeVar("Value")


def join_processes() -> torch.device:
    """The GPU of this process, or the processor; where several were launched, they find each other first.

    Raises `InputError` for networks cut into shards.
    """
    on_gpu = torch.cuda.is_available()
    if _launched() == 1:
        return torch.device("cuda" if on_gpu else "cpu")
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise InputError(
            "this training keeps whole networks in every process: give `accelerate launch` --multi_gpu, not --use_fsdp"
        )
    device: torch.device = PartialState(cpu=not on_gpu).device
    return device


def device_of_one_process() -> torch.device:
    """The GPU where there is one. Raises `InputError` in one of several processes: they would write over each other."""
    if _launched() > 1:
        raise InputError("this training runs in one process; start it without accelerate launch")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _launched() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def one_of_many() -> Iterator[None]:
    """Work that all processes do: where another one has failed, this one says so. Raises `EvalkitError`."""
    try:
        yield
    except RuntimeError as error:
        if not (distributed.is_initialized() and is_of_network(error)):
            raise
        raise EvalkitError(
            f"process {distributed.get_rank()} stops because another one did; the reason stands with that one"
        ) from None


def is_first() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def own_share(items: Sequence[Item]) -> Sequence[Item]:
    """What of `items` is this process's; nothing, where there are more processes."""
    if not distributed.is_initialized():
        return items
    return items[distributed.get_rank() :: distributed.get_world_size()]


def gathered(value: Value) -> list[Value]:
    """The value of each process, in their order."""
    if not distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def of_first(value: Value) -> Value:
    """What the first process says; all must call this."""
    return gathered(value)[0]


def wait_for_all() -> None:
    """Nobody goes on before all have come here."""
    gathered(None)


def added_up(sums: Mapping[str, float]) -> dict[str, float]:
    """Sums over all processes, some of which may have had no items and so have none."""
    total: dict[str, float] = {}
    for own in gathered(dict(sums)):
        for name, value in own.items():
            total[name] = total.get(name, 0.0) + value
    return total


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the sum of the gradients of all."""
    if not distributed.is_initialized():
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
