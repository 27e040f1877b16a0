"""FSDP2 on the CPU, which accelerate itself offers on GPUs alone."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator, DistributedType, PartialState
from accelerate.utils import FullyShardedDataParallelPlugin


def sharding_accelerator(*args: Any, **kwargs: Any) -> Accelerator:
    """An accelerator that takes its ways of FSDP2 from here on."""
    accelerator = Accelerator(*args, **kwargs)
    # Both states keep it, and one is copied over the other now and then.
    PartialState().distributed_type = accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap"
    )
    return accelerator
