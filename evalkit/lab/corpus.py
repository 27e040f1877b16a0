"""Texts as padded token batches: what every stage of the lab feeds on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from evalkit.lab.grammar import Prompt, document, frame

Item = TypeVar("Item")

Pair = tuple[str, str]
"""A prompt and a completion."""

Drawn = Mapping[str, Sequence[str]]
"""Completions by prompt."""


@dataclass(frozen=True)
class Batch:
    """Several completions of each of several prompts, so that a prompt's tokens are read once for all of them.

    heads, heads_mask: the frames but for their last token, padded on the left, [prompts, head tokens].
    answers: that last token, then a completion, then </s>, padded on the right, [prompts * each, answer tokens].
    wanted: which answer tokens are to be predicted (all but the first and the padding), same shape as `answers`.
    """

    heads: Tensor
    heads_mask: Tensor
    answers: Tensor
    wanted: Tensor


def frames(tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the frames and their mask, padded on the left, [prompts, tokens]."""
    batch = tokenizer([frame(prompt) for prompt in prompts], return_tensors="pt", padding=True)
    return batch["input_ids"], batch["attention_mask"]


def encode(tokenizer: PreTrainedTokenizerFast, drawn: Drawn) -> Batch:
    """Turn completions into one batch; every prompt must have equally many."""
    heads, mask = frames(tokenizer, list(drawn))
    texts = [f" {text}" for several in drawn.values() for text in several]
    tokens = tokenizer(texts, add_special_tokens=False).input_ids
    answers = torch.full((len(texts), max(map(len, tokens)) + 2), tokenizer.pad_token_id, dtype=torch.long)
    answers[:, 0] = heads[0, -1]
    for row, ids in zip(answers, tokens, strict=True):
        row[1 : len(ids) + 2] = torch.tensor([*ids, tokenizer.eos_token_id])
    wanted = answers != tokenizer.pad_token_id
    wanted[:, 0] = False
    return Batch(heads[:, :-1], mask[:, :-1], answers, wanted)


def documents(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Return whole documents with <s> and </s> and their mask, padded on the right, [pairs, tokens]."""
    texts = [document(*pair) + str(tokenizer.eos_token) for pair in pairs]
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    return batch["input_ids"], batch["attention_mask"]


def stream(prompts: Sequence[Prompt], texts: int, each: int, steps: int, rng: random.Random) -> Iterator[Drawn]:
    """Yield `steps` batches of fresh grammar samples, `each` of texts // each prompts taken in shuffled order."""
    for few in shuffled_batches(prompts, texts // each, steps, rng):
        yield {prompt.text: [prompt.sample(rng) for _ in range(each)] for prompt in few}


def dice(purpose: str, seed: int) -> random.Random:
    """Return a source of chance of its own for every purpose, so that no stage disturbs another."""
    return random.Random(f"{purpose} {seed}")  # noqa: S311


def shuffled_batches(items: Sequence[Item], size: int, steps: int, rng: random.Random) -> Iterator[list[Item]]:
    """Yield `steps` batches of items, shuffled anew after each pass over them: all are seen equally often."""
    queue: list[Item] = []
    for _ in range(steps):
        while len(queue) < size:
            queue.extend(rng.sample(items, len(items)))
        yield queue[:size]
        queue = queue[size:]


def halves(drawn: Drawn) -> list[Drawn]:
    """Split a batch into prompts with short and with long completions, which saves a third of the padding."""
    ordered = sorted(drawn, key=lambda prompt: max(map(len, drawn[prompt])))
    middle = len(ordered) // 2
    return [{p: drawn[p] for p in part} for part in (ordered[:middle], ordered[middle:]) if part]
