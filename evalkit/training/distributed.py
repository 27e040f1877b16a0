"""The processes that a training is spread over: one, or many that accelerate launched, each with a part of the batch.

Every process holds whole networks, and their gradients are averaged (DDP); or the networks are cut into shards, one for
each process, and a layer is put together just before it is needed (FSDP2). Then every process must make every call of a
network, in the same order: one that makes fewer leaves the others waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import disable_fsdp_ram_efficient_loading, fsdp2_prepare_model
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from evalkit.errors import EvalkitError, InputError
from evalkit.training.config import PolicyGradientConfig

Episode = TypeVar("Episode")
KINDS = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)
"""What works as it is; FSDP does in its version 2."""


def open_accelerator(config: PolicyGradientConfig) -> Accelerator:
    """The machine as accelerate finds it; forward passes in bfloat16 on a GPU.

    Raises `InputError` for a kind of launch that is not known here, and for a batch that cannot be split evenly.
    """
    on_gpu = torch.cuda.is_available()
    wanted = ("bfloat16" if on_gpu else "float32") if config.dtype == "auto" else config.dtype
    # With it, only the first process would load weights; reference and reward need them everywhere.
    disable_fsdp_ram_efficient_loading()
    accelerator = Accelerator(cpu=not on_gpu, mixed_precision="bf16" if wanted == "bfloat16" else "no")
    _check_kind(accelerator)
    check_batch(config, accelerator.num_processes)
    if accelerator.is_fsdp2 and wanted == "bfloat16":
        # accelerate would also add gradients up in bfloat16, and round the values that the critic says.
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        accelerator.state.fsdp_plugin.mixed_precision_policy = policy
    return accelerator


def _check_kind(accelerator: Accelerator) -> None:
    if accelerator.is_fsdp2:
        return
    if accelerator.distributed_type not in KINDS:
        raise InputError(
            f"training runs over several processes by DDP or FSDP2, not by {accelerator.distributed_type.value}; give "
            "`accelerate launch` --multi_gpu, or --use_fsdp --fsdp_version 2"
        )
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise InputError(
            "--use_fsdp was asked for, but accelerate shards on GPUs only and finds none; launch without it"
        )


def check_batch(config: PolicyGradientConfig, processes: int) -> None:
    """Raises `InputError` for a batch that cannot be split evenly."""
    if config.batch % (config.minibatches * processes):
        raise InputError(
            f"batch is {config.batch}; over {processes} processes and {config.minibatches} minibatches it must be a "
            f"multiple of {config.minibatches * processes}, so that every process has as much to do"
        )
    if config.batch // config.samples % processes:
        raise InputError(
            f"batch is {config.batch} with samples {config.samples}, {config.batch // config.samples} prompts; over "
            f"{processes} processes it must be a multiple of {config.samples * processes}, so that all completions of "
            "a prompt are on one of them"
        )


@contextmanager
def together(accelerator: Accelerator) -> Iterator[None]:
    """Work that all processes do: where another one has failed, this one says so instead of how the network broke.

    Raises `EvalkitError`.
    """
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not is_of_network(error):
            raise
        raise EvalkitError(
            f"process {accelerator.process_index} stops because another one did; the reason stands with that one"
        ) from None


def is_of_network(error: RuntimeError) -> bool:
    """An error of what carries tensors between processes; gloo's are known by their words alone."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def spread(network: nn.Module, accelerator: Accelerator) -> nn.Module:
    """A network as all processes train it; under FSDP2 it is cut into shards in place.

    Raises `InputError` where accelerate's settings of FSDP2 do not fit the network.
    """
    if not accelerator.is_fsdp2:
        return cast(nn.Module, accelerator.prepare(network))
    # Not `prepare`: it takes a single network, and one optimiser moves two here. Of a network with adapters the model
    # inside is cut: `generate` calls it without its wrapping.
    inside = cast(Any, network).get_base_model() if hasattr(network, "get_base_model") else network
    try:
        fsdp2_prepare_model(accelerator, inside)
    except ValueError as error:
        raise InputError(
            f"FSDP2 cannot cut a {type(inside).__name__}: {str(error).splitlines()[0]}; give `accelerate launch` "
            "--fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP, or NO_WRAP where policy and value network are of "
            "different architectures"
        ) from None
    return network


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from its shards, for which every process must call this; any other one as it is."""
    return cast(Tensor, tensor.full_tensor()) if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Whole tensors on the first process; the others take part and get none."""
    on_first = {}
    for name, tensor in tensors.items():
        full = whole(tensor.detach())
        if accelerator.is_main_process:
            # One shard after the other leaves the accelerator again: together they may not fit it.
            on_first[name] = full.cpu() if isinstance(tensor, DTensor) else full
    return on_first


def laid_out_as(like: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor, the same on every process, cut into shards where `like` is."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def agreed(value: int, path: Path, accelerator: Accelerator) -> int:
    """`value`, which each process read at `place`. Raises `InputError` where they do not read the same."""
    read = accelerator.gather(torch.tensor([value], device=accelerator.device)).tolist()
    if len(set(read)) > 1:
        raise InputError(
            f"processes differ in what they find at {path}; --out must be a folder on a file system that all nodes "
            "share"
        )
    return value


def process_part(episodes: Sequence[Episode], accelerator: Accelerator, samples: int = 1) -> list[Episode]:
    """Which episodes of a batch are this process's own; each `samples` that stand together stay together."""
    groups = [episodes[start : start + samples] for start in range(0, len(episodes), samples)]
    return [episode for group in groups[accelerator.process_index :: accelerator.num_processes] for episode in group]


def sum_over_processes(value: Tensor, accelerator: Accelerator) -> Tensor:
    if accelerator.num_processes == 1:
        return value
    summed: Tensor = accelerator.reduce(value.to(accelerator.device), reduction="sum")
    return summed
