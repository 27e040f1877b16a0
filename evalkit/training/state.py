"""What a training goes on from after it was stopped: one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from evalkit.errors import StoreError
from evalkit.plumbing.files import unwritten
from evalkit.training.distributed import laid_out_as

Tensors = Mapping[str, Tensor]
STATE = "state.safetensors"
"""Its name in a training's working folder."""


def write_state(path: Path, tensors: Tensors, facts: Mapping[str, Any]) -> None:
    """Replace the state at `path`. Raises `StoreError`; the state before is then still there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(kept, beside, metadata={"facts": json.dumps(facts)})
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise unwritten(path, error, "the one before it is kept") from None


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and facts of a state; None where there is none. Raises `StoreError` when it is damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"state {path} is damaged ({error}); remove it to begin this training anew") from None


def forget_state(path: Path) -> None:
    """Remove the state of a training whose checkpoint is written: nothing goes on from it.

    It holds three float32 numbers a trained weight, itself and Adam's two moments, none of which a resume that ends in
    the same bits could do without: six times a checkpoint in bfloat16, and twice that with a value network.
    """
    path.unlink(missing_ok=True)


def tensors_of(optimiser: torch.optim.Optimizer, **networks: nn.Module) -> dict[str, Tensor]:
    """All that training changes: trainable weights by network and name, and the optimiser's moments."""
    weights = {
        f"{name}/{parameter_name}": parameter
        for name, network in networks.items()
        for parameter_name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    moments = {
        f"optimiser/{index}/{kind}": value
        for index, held in optimiser.state_dict()["state"].items()
        for kind, value in held.items()
    }
    return weights | moments


def restore(tensors: Tensors, optimiser: torch.optim.Optimizer, **networks: nn.Module) -> None:
    """Put tensors of `tensors_of` back to where they were."""
    with torch.no_grad():
        for name, network in networks.items():
            for parameter_name, parameter in network.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(laid_out_as(parameter, tensors[f"{name}/{parameter_name}"]))
    state = _moments(tensors, [parameter for group in optimiser.param_groups for parameter in group["params"]])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _moments(tensors: Tensors, parameters: Sequence[Tensor]) -> dict[int, dict[str, Tensor]]:
    moments: dict[int, dict[str, Tensor]] = {}
    for name in _of_optimiser(tensors):
        _, index, kind = name.split("/")
        value, of = tensors[name], parameters[int(index)]
        # Steps are counted in a number that every process has.
        moments.setdefault(int(index), {})[kind] = laid_out_as(of, value) if value.shape == of.shape else value
    return moments


def _of_optimiser(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith("optimiser/")]
