"""Which prompts are kept from training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from evalkit.errors import InputError


def held_out_prompts(prompts: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """`share` of the distinct prompts, at least one and not all: those with the lowest hashes of text and seed.

    Prompts, not rows, are held out, so that no prompt is on both sides. Raises `InputError` for fewer than two prompts.
    """
    ranked = sorted(set(prompts), key=lambda prompt: hashlib.sha256(f"{seed}\0{prompt}".encode()).digest())
    if len(ranked) < 2:
        raise InputError(
            "the data has a single prompt; training needs at least two, one of them held out to measure on"
        )
    return frozenset(ranked[: min(len(ranked) - 1, max(1, round(share * len(ranked))))])
