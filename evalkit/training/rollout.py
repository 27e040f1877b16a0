"""Episodes: what the policy says, drawn with `generate` and its key-value cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from evalkit.training.batch import pack
from evalkit.training.models import Policy

ROWS = 512
"""Sequences that are generated together."""


def sample(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    temperature: float = 1.0,
    *,
    model: nn.Module | None = None,
    in_step: bool = False,
) -> list[list[int]]:
    """One response for each prompt (token ids), with the token that ended it where it ended by itself.

    Draws come from torch's global generators: seed them before. `model`: what stands for the policy's model, when it is
    wrapped. `in_step`: go on until every process is done, as a model that is sharded over processes needs.
    """
    device = policy.model.device
    responses: list[list[int]] = []
    for start in range(0, len(prompts), ROWS):
        part = prompts[start : start + ROWS]
        heads = pack(part, [[]] * len(part))
        width = heads.prompt_width
        generating: Any = model if model is not None else policy.model
        with torch.no_grad():
            made = generating.generate(
                input_ids=heads.ids[:, :width].to(device),
                attention_mask=heads.mask[:, :width].to(device),
                max_new_tokens=max_tokens,
                temperature=temperature,
                synced_gpus=in_step,
            )
        responses += [_ended(row, policy.stops) for row in made[:, width:].tolist()]
    return responses


def _ended(row: list[int], stops: frozenset[int]) -> list[int]:
    """Up to and with the first stop token: what stands behind it is padding."""
    end = next((place for place, token in enumerate(row) if token in stops), len(row) - 1)
    return row[: end + 1]
