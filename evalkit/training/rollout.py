"""Episodes: what the policy says, drawn with `generate` and its key-value cache, from the whole distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList

from evalkit.training.batch import pack
from evalkit.training.memory import rows_that_fit
from evalkit.training.models import Policy

ROWS = 512
"""Sequences that are generated together at most."""


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

    Draws come from torch's global generators: seed them before. A policy's own sampler draws where it has one, else
    `generate`. `model`: what stands for the policy's model, when it is wrapped. `in_step`: go on until every process is
    done, as a model that is sharded over processes needs.
    """
    if policy.sampler is not None:
        return policy.sampler(policy, prompts, max_tokens, temperature)
    device = policy.model.device
    responses: list[list[int]] = []
    rows = min(ROWS, rows_that_fit(policy.model, max(map(len, prompts), default=0) + max_tokens))
    if in_step:
        # Prompts and GPUs differ, and a process that generates less often than the others leaves them waiting.
        rows = int(gather(torch.tensor([rows], device=device)).min())
    for start in range(0, len(prompts), rows):
        part = prompts[start : start + rows]
        heads = pack(part, [[]] * len(part))
        width = heads.prompt_width
        generating: Any = model if model is not None else policy.model
        with torch.no_grad():
            made = generating.generate(
                input_ids=heads.ids[:, :width].to(device),
                attention_mask=heads.mask[:, :width].to(device),
                max_new_tokens=max_tokens,
                do_sample=False,
                logits_processor=LogitsProcessorList([InverseTransform(temperature)]),
                synced_gpus=in_step,
            )
        responses += [_ended(row, policy.stops) for row in made[:, width:].tolist()]
    return responses


class InverseTransform(LogitsProcessor):  # type: ignore[misc]
    """Draws each row's next token and leaves it the only one, so that the greedy choice that follows is the draw.

    One uniform number a row, looked up in the cumulative probabilities, added up in float64. `generate`'s own way draws
    an exponential for every token of the vocabulary, which on a CPU takes as long as a small model's pass.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] logits -> 0 at the token drawn, -inf elsewhere."""
        probabilities = (scores.float() / self._temperature).softmax(dim=-1)
        cumulative = probabilities.double().cumsum(dim=-1)
        points = torch.rand(len(scores), 1, dtype=torch.float64, device=scores.device) * cumulative[:, -1:]
        # The first token beyond the point: a token of probability 0 takes up no room and is never it.
        drawn = torch.searchsorted(cumulative, points, right=True).clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter_(-1, drawn, 0.0)


def _ended(row: list[int], stops: frozenset[int]) -> list[int]:
    """Up to and with the first stop token: what stands behind it is padding."""
    end = next((position for position, token in enumerate(row) if token in stops), len(row) - 1)
    return row[: end + 1]
