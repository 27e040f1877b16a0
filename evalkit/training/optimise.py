"""The loop that the trainings on given items share: reward models, supervised fine-tuning, DPO.

    items -> epochs, each in an order of its own -> minibatches -> microbatches of about equal length -> one AdamW step

Every step is seeded by its own number, and a state is written at every look at held-out items, so that a training that
was killed goes on to the same curve. Several processes share each minibatch (`evalkit.training.data_parallel`).
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from evalkit.errors import EvalkitError, InputError
from evalkit.plumbing.progress import Listener
from evalkit.training.config import Fitting
from evalkit.training.data_parallel import add_up_gradients, added_up, gathered, is_first, own_share
from evalkit.training.output.curves import Curves, LogRow
from evalkit.training.schedule import annealing
from evalkit.training.state import STATE, read_state, restore, tensors_of, write_state

Item = TypeVar("Item")
LOOKS = 20
"""Looks at held-out items in a training, and states to resume from; fewer where looks would take longer than steps."""
WATCHED = 512
"""Held-out items that a look takes; the figures of the finished model are of all."""
WARM_UP = 0.05
"""Share of steps in which the learning rate rises; over all of them it falls to 0."""
MAX_GRAD_NORM = 1.0
PAGE_SECONDS = 10.0
"""A page is not written again sooner: it takes longer than many a small model's step."""


@dataclass(frozen=True)
class Objective(Generic[Item]):
    """What is minimised: the mean of a loss over an item's units (a pair, a token)."""

    network: nn.Module
    """Its parameters that require gradients are trained."""
    losses: Callable[[Sequence[Item]], Mapping[str, Tensor]]
    """Sums over all units of some items: `loss`, and other figures to watch."""
    length: Callable[[Item], int]
    """Tokens of an item's longest sequence: items of about equal length are taken together."""
    units: Callable[[Item], int]
    sequences: int = 1
    """Sequences that an item takes in a forward pass."""


def optimise(
    config: Fitting,
    objective: Objective[Item],
    items: Sequence[Item],
    watched: Sequence[Item],
    work: Path,
    tell: Listener,
    show: Callable[[], None],
) -> None:
    """Train on `items` for the config's epochs, from the last state in `work` where there is one.

    Rows go to the curves in `work`: step, means over the step's minibatch before the step, grad_norm before it is
    clipped, learning_rate, seconds; at a look also `held_out_` means over `watched`, after the step. `show` is called
    after looks, to show the curves so far.
    Raises `EvalkitError` for a loss that is not finite, `StoreError`, and `InputError` where the data has changed.
    """
    optimiser = torch.optim.AdamW(
        [parameter for parameter in objective.network.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        eps=1e-5,
        weight_decay=0.0,
    )
    state, data = work / STATE, _digest([*items, *watched])
    begin = _resume(state, data, optimiser, objective.network)
    steps = config.epochs * _turns(config, len(items))
    every = steps_between_looks(config, steps, len(watched))
    tell.stage(f"train {work.stem}", steps - begin)
    shown = time.monotonic()
    with Curves(work, begin, tell.note) if is_first() else nullcontext() as curves:
        for step in range(begin, steps):
            started = time.monotonic()
            row = take_step(config, objective, optimiser, items, step, steps)
            is_look = step % every == 0 or step == steps - 1
            if is_look:
                means = evaluate(config, objective, watched[:WATCHED])
                row |= {f"held_out_{name}": value for name, value in means.items()}
            if curves is not None:
                curves.add(row | {"seconds": round(time.monotonic() - started, 3)})
            if is_look and is_first():
                tensors = tensors_of(optimiser, network=objective.network)
                write_state(state, tensors, {"steps": step + 1, "data": data})
                if time.monotonic() - shown > PAGE_SECONDS:
                    show()
                    shown = time.monotonic()
            tell.advance(1)


def steps_between_looks(config: Fitting, steps: int, watched: int) -> int:
    """As many as take at least the items of a look: a short training would else mostly be looked at."""
    return max(1, steps // LOOKS, min(watched, WATCHED) // config.batch)


def take_step(
    config: Fitting,
    objective: Objective[Item],
    optimiser: torch.optim.Optimizer,
    items: Sequence[Item],
    step: int,
    steps: int,
) -> LogRow:
    """One optimiser step on the minibatch of number `step`. Raises `EvalkitError` before a step that is not finite."""
    optimiser.zero_grad(set_to_none=True)
    means = accumulate(config, objective, [items[index] for index in minibatch(config, len(items), step)])
    trained = [parameter for parameter in objective.network.parameters() if parameter.requires_grad]
    add_up_gradients(trained)
    norm = float(torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM))
    if not (math.isfinite(means["loss"]) and math.isfinite(norm)):
        raise EvalkitError(
            f"step {step}: the loss or its gradient is not a finite number, so the step was not taken; the last saved "
            "state is good. Lower learning_rate, and see that the model itself gives finite numbers"
        )
    learning_rate = config.learning_rate * annealing(step, steps, math.ceil(WARM_UP * steps))
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.step()
    return {"step": step, **means, "grad_norm": norm, "learning_rate": learning_rate}


def accumulate(config: Fitting, objective: Objective[Item], items: Sequence[Item]) -> dict[str, float]:
    """Add the gradient of the mean loss over `items` to the network, of this process's share; returns the means of all.

    Microbatches change neither.
    """
    units = sum(map(objective.units, items))
    sums: dict[str, float] = {}
    for part in _parts(config, objective, own_share(items)):
        with autocast(config, objective.network):
            losses = objective.losses(part)
        (losses["loss"] / units).backward()
        _add(sums, losses)
    return {name: value / units for name, value in added_up(sums).items()}


def evaluate(config: Fitting, objective: Objective[Item], items: Sequence[Item]) -> dict[str, float]:
    """Means over the units of `items`, without a gradient."""
    units = sum(map(objective.units, items))
    sums: dict[str, float] = {}
    with torch.no_grad(), autocast(config, objective.network):
        for part in _parts(config, objective, own_share(items)):
            _add(sums, objective.losses(part))
    return {name: value / units for name, value in added_up(sums).items()}


def minibatch(config: Fitting, count: int, step: int) -> Sequence[int]:
    """Which of `count` items a step takes: a shuffled epoch is cut into minibatches, equal in size up to one item."""
    turns = _turns(config, count)
    return _order(config.seed, step // turns, count)[step % turns :: turns]


def autocast(config: Fitting, network: nn.Module) -> torch.autocast:
    """The precision of forward passes that `config.dtype` asks for."""
    device = next(network.parameters()).device.type
    wanted = ("bfloat16" if device == "cuda" else "float32") if config.dtype == "auto" else config.dtype
    return torch.autocast(device, dtype=torch.bfloat16, enabled=wanted == "bfloat16")


def _resume(state: Path, data: str, optimiser: torch.optim.Optimizer, network: nn.Module) -> int:
    """Put network and optimiser into their last state; returns the step to begin with."""
    saved = read_state(state)
    if len(set(gathered(saved and saved[1]["steps"]))) > 1:
        raise InputError(
            f"processes differ in what they find at {state}; --out must be a folder on a file system that all nodes "
            "share"
        )
    if saved is None:
        return 0
    tensors, facts = saved
    if facts["data"] != data:
        raise InputError(
            f"{state} was left by a training on other data; the files have changed since. Choose another folder with "
            "--out, or remove that file to begin anew"
        )
    restore(tensors, optimiser, network=network)
    return int(facts["steps"])


def _digest(items: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr(item).encode())
    return digest.hexdigest()


def _turns(config: Fitting, count: int) -> int:
    """Steps in an epoch."""
    return math.ceil(count / config.batch)


@lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> Sequence[int]:
    order = list(range(count))
    random.Random(f"order {seed} {epoch}").shuffle(order)  # noqa: S311
    return order


def _parts(config: Fitting, objective: Objective[Item], items: Sequence[Item]) -> list[Sequence[Item]]:
    """Items of about equal length, as many as make `microbatch` sequences."""
    ranked = sorted(items, key=objective.length)
    size = max(1, config.microbatch // objective.sequences)
    return [ranked[start : start + size] for start in range(0, len(ranked), size)]


def _add(sums: dict[str, float], losses: Mapping[str, Tensor]) -> None:
    for name, value in losses.items():
        sums[name] = sums.get(name, 0.0) + float(value.detach())
