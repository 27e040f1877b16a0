"""A policy's weights on their way to another process, in memory that both share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from evalkit.inference.engines.vllm_policy import SharedWeights
from evalkit.training.models import Policy

try:
    from transformers.core_model_loading import revert_weight_conversion
except ImportError:  # transformers 4, whose models name their weights as their files do

    def revert_weight_conversion(model: PreTrainedModel, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        return state_dict


@contextmanager
def shared_weights(policy: Policy, dtype: str) -> Iterator[SharedWeights]:
    """Memory for a policy's weights in `dtype`, for the length of a `with` block. They are not written yet."""
    shapes = tuple((name, tuple(tensor.shape)) for name, tensor in checkpoint_weights(policy.model).items())
    size = sum(torch.Size(shape).numel() for _, shape in shapes) * getattr(torch, dtype).itemsize
    # Neither a file on a disk nor in /dev/shm, which containers keep small; gone with the last process that has it.
    descriptor = os.memfd_create("evalkit-weights")
    try:
        os.ftruncate(descriptor, size)
        yield SharedWeights(f"/proc/{os.getpid()}/fd/{descriptor}", dtype, shapes)
    finally:
        os.close(descriptor)


def checkpoint_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Name -> weight, by the names of a checkpoint's files; adapters are merged, tied weights stand under each name.

    A file holds tied weights once. But vLLM on a CPU packs an output layer for itself, and would keep the old one.
    The weights of the model itself do not change: merged and unmerged, they would drift by a rounding each time.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    with torch.no_grad():
        return cast(dict[str, Tensor], revert_weight_conversion(base, dict(_merged(base))))


def _merged(base: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """The weights, each with what its adapter adds."""
    adapted = {name: module for name, module in base.named_modules() if hasattr(module, "get_delta_weight")}
    for name, tensor in base.state_dict().items():
        owner, _, kind = name.rpartition(".base_layer.")
        if owner in adapted and kind == "weight":
            module = adapted[owner]
            yield f"{owner}.{kind}", tensor + sum(module.get_delta_weight(each) for each in module.active_adapters)
        elif owner in adapted:
            yield f"{owner}.{kind}", tensor
        elif not any(part.startswith("lora_") for part in name.split(".")):
            yield name, tensor
