"""Texts as padded token batches: what every training stage of the lab feeds on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from evalkit.lab.grammar import Prompt, document, frame

Pair = tuple[str, str]
"""A prompt and a completion."""


@dataclass(frozen=True)
class Batch:
    """Right-padded documents: ids and mask are [texts, tokens]; `answer` marks completion and end-of-sequence tokens."""

    ids: Tensor
    mask: Tensor
    answer: Tensor


def encode(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> Batch:
    """Turn (prompt, completion) pairs into one batch of documents with <s> and </s>."""
    heads = tokenizer([frame(prompt) for prompt, _ in pairs]).input_ids
    texts = tokenizer([document(*pair) for pair in pairs]).input_ids
    width = max(map(len, texts)) + 1
    ids = torch.full((len(pairs), width), tokenizer.pad_token_id, dtype=torch.long)
    answer = torch.zeros((len(pairs), width), dtype=torch.bool)
    mask = torch.zeros((len(pairs), width), dtype=torch.long)
    for row, (head, text) in enumerate(zip(heads, texts, strict=True)):
        whole = [*text, tokenizer.eos_token_id]
        ids[row, : len(whole)] = torch.tensor(whole)
        mask[row, : len(whole)] = 1
        answer[row, len(head) : len(whole)] = True
    return Batch(ids, mask, answer)


def stream(prompts: Sequence[Prompt], batch: int, steps: int, rng: random.Random) -> Iterator[list[Pair]]:
    """Yield `steps` batches of fresh grammar samples; prompts come from a shuffled deck, so each is seen equally often."""
    deck: list[Prompt] = []
    for _ in range(steps):
        while len(deck) < batch:
            deck.extend(rng.sample(prompts, len(prompts)))
        drawn, deck = deck[:batch], deck[batch:]
        yield [(prompt.text, prompt.sample(rng)) for prompt in drawn]
