"""The memory that a training has: what fits it, and what is said where it ran out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from evalkit.errors import EvalkitError

SHARE = 8
"""Sampling may take one part in so many of the memory: the networks and their moments lie there, too."""
DRAW = 32
"""Bytes that a draw takes for each token of the vocabulary: logits and probabilities in float32, sums in float64."""


def rows_that_fit(model: Any, tokens: int) -> int:
    """How many sequences of so many tokens can be generated together: at least one."""
    return max(1, memory_of(model.device) // SHARE // bytes_of_row(model.config, tokens))


def memory_of(device: torch.device) -> int:
    """Bytes of a GPU, or of the machine."""
    if device.type == "cuda":
        total: int = torch.cuda.get_device_properties(device).total_memory
        return total
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def bytes_of_row(config: Any, tokens: int) -> int:
    """Bytes that a sequence takes while it is generated: its key-value cache in float32, and a draw.

    Of a model without attention heads the cache is taken to be as wide as its hidden states, which is too much.
    """
    its = config.get_text_config()
    queries = getattr(its, "num_attention_heads", None)
    heads = getattr(its, "num_key_value_heads", None) or queries
    width = heads * (getattr(its, "head_dim", None) or its.hidden_size // queries) if heads else its.hidden_size
    cache: int = 2 * 4 * its.num_hidden_layers * width * tokens
    return cache + DRAW * int(its.vocab_size)


@contextmanager
def told_when_full(microbatch: int) -> Iterator[None]:
    """A training in which memory may run out: then it is said what to change. Raises `EvalkitError`."""
    try:
        yield
    except RuntimeError as error:
        if not _is_of_memory(error):
            raise
        wanted = re.search(r"tried to allocate ([\d.]+ \w+)", str(error), re.IGNORECASE)
        more = f" ({wanted[1]} more were asked for)" if wanted else ""
        if microbatch == 1:
            raise EvalkitError(
                f"memory ran out{more}; microbatch is 1 already: train adapters (lora), or on shorter completions"
            ) from None
        raise EvalkitError(
            f"memory ran out{more}; lower microbatch ({microbatch} now), with which the same command goes on from the "
            "last saved state, or train adapters (lora), or on shorter completions"
        ) from None


def _is_of_memory(error: RuntimeError) -> bool:
    """An error of a GPU's allocator, or of the processor's, which is known by its words alone."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)
