"""Prompts and responses as padded tensors: prompts on the left, so that every response begins in the same column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B sequences. Padding is told by the mask alone: a pad token may be any token, the end-of-sequence one too."""

    ids: Tensor
    """[B, P + R] token ids: prompts, padded on the left to P, then responses, padded on the right to R."""
    mask: Tensor
    """[B, P + R] bool: which are tokens and not padding."""
    prompt_width: int
    """P."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def responses(self) -> Tensor:
        """[B, R] token ids."""
        return self.ids[:, self.prompt_width :]

    @property
    def response_mask(self) -> Tensor:
        """[B, R] bool."""
        return self.mask[:, self.prompt_width :]

    @property
    def positions(self) -> Tensor:
        """[B, P + R] each token's place in its own sequence, from 0; learned positions are wrong without it."""
        return (self.mask.long().cumsum(dim=1) - 1).clamp(min=0)

    def rows(self, index: Tensor) -> Batch:
        """The sequences at `index`, [b], without the columns that only others needed.

        Right columns go, so per-token tensors of this batch are to be cut to the new `response_mask`'s width.
        """
        ids, mask = self.ids[index], self.mask[index]
        used = mask.any(dim=0).nonzero()
        first, last = int(used[0]), int(used[-1]) + 1
        first, last = min(first, self.prompt_width - 1), max(last, self.prompt_width + 1)
        return Batch(ids[:, first:last], mask[:, first:last], self.prompt_width - first)

    def to(self, device: torch.device) -> Batch:
        return Batch(self.ids.to(device), self.mask.to(device), self.prompt_width)


def pack(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad: int = 0) -> Batch:
    """One sequence of each prompt and response (token ids). A prompt must have a token: the first one is predicted."""
    left, right = max(map(len, prompts)), max(1, *map(len, responses))
    ids = torch.full((len(prompts), left + right), pad)
    mask = torch.zeros((len(prompts), left + right), dtype=torch.bool)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        ids[row, left - len(prompt) : left + len(response)] = torch.tensor([*prompt, *response])
        mask[row, left - len(prompt) : left + len(response)] = True
    return Batch(ids, mask, left)


def microbatches(batch: Batch, index: Tensor, size: int) -> list[Tensor]:
    """`index`, [b], cut into parts of `size` sequences of about equal length, so that little is padding."""
    lengths = batch.mask[index].sum(dim=1)
    return list(index[lengths.argsort(stable=True)].split(size))
