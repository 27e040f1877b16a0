"""Draw completions from a lab model, for preferences and for measuring what tuning changed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.lab.corpus import frames
from evalkit.lab.train import read_heads

LONGEST = 32
"""Tokens after which a completion is cut; the grammar's longest has 25."""


def draw(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    samples: int,
    seed: int,
    prompts_at_once: int = 24,
) -> dict[str, list[str]]:
    """Return `samples` completions a prompt at temperature 1, without truncation. The same seed gives the same texts.

    `generate` reads a prompt once for every sample and goes on until the longest is done: five times slower here.
    """
    chance = torch.Generator().manual_seed(seed)
    drawn: dict[str, list[str]] = {}
    for start in range(0, len(prompts), prompts_at_once):
        part = prompts[start : start + prompts_at_once]
        with torch.no_grad():
            tokens = _continue(model, *frames(tokenizer, part), samples, int(tokenizer.eos_token_id), chance)
        texts = [text.strip() for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        drawn.update({prompt: texts[i * samples : (i + 1) * samples] for i, prompt in enumerate(part)})
    return drawn


def _continue(
    model: LlamaForCausalLM, heads: Tensor, mask: Tensor, samples: int, eos: int, chance: torch.Generator
) -> Tensor:
    """Return sampled ids, [prompts * samples, LONGEST], filled with `eos` after the end; finished rows are dropped."""
    cache = read_heads(model, heads[:, :-1], mask[:, :-1])
    cache.batch_repeat_interleave(samples)
    mask = mask.repeat_interleave(samples, dim=0)
    made = torch.full((len(mask), LONGEST), eos)
    last = heads[:, -1:].repeat_interleave(samples, dim=0)
    alive = torch.arange(len(mask))
    for position in range(LONGEST):
        positions = mask.sum(dim=1, keepdim=True) - 1
        out = model(input_ids=last, attention_mask=mask, position_ids=positions, past_key_values=cache)
        distribution = out.logits[:, -1].float().softmax(dim=-1)
        last = torch.multinomial(distribution, 1, generator=chance)
        made[alive, position] = last[:, 0]
        going = (last[:, 0] != eos).nonzero()[:, 0]
        if len(going) == 0:
            break
        cache.batch_select_indices(going)
        alive, last = alive[going], last[going]
        mask = torch.cat([mask[going], torch.ones_like(last)], dim=1)
    return made
