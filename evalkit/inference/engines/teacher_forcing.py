"""Reading texts that are already there with a transformers model: every token's distribution, given all before it.

Logits are made a block of positions at a time, with the keys and values of the positions before kept in between, so
that no tensor holds more than `BATCH_LOGITS` numbers, be the vocabulary and the texts as large as they may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.inference.engines.base import Pair
from evalkit.plumbing.length_batches import by_length
from evalkit.records import RANKS, NextTokenDistributions

if TYPE_CHECKING:
    import torch

    Look = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """([B, C, V] float32 log-probs, [B, C] the tokens that follow) -> [B, C, F] what is kept of them."""

BATCH_TOKENS = 16_384
"""Positions in the key-value cache of one batch."""
BATCH_LOGITS = 32_000_000
"""Numbers in the largest tensor of logits: 128 MB in float32, of which a few are alive at once."""
SPARED = 1_024
"""Positions that reading a prompt once, and each of its completions after it, must spare to be worth its own calls."""


@dataclass(frozen=True)
class _Begun:
    """A prompt that was read."""

    cache: Any
    following: torch.Tensor
    """[1, 1, V] log-probs of what follows it."""

    def copied(self, rows: int) -> Any:
        """Its keys and values for so many completions, which are put behind it."""
        cache = deepcopy(self.cache)
        cache.batch_repeat_interleave(rows)
        return cache


class TeacherForcing:
    """A model, and its next-token distributions along given texts: untempered (temperature 1, nothing cut off)."""

    def __init__(self, model: Any, device: str, vocabulary: int) -> None:
        self._model = model
        self._device = device
        self._vocabulary = vocabulary
        self._keeps = "logits_to_keep" in signature(model.forward).parameters

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """Natural log-prob of each completion token."""
        return [tuple(row[:-1, 0].tolist()) for row in self._read(pairs, _given)]

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        """Entropy, and log-probs at `RANKS`, of the distribution that each completion token was drawn from."""
        # Copied, so that a whole batch is not kept for the sake of its rows.
        return [
            NextTokenDistributions(row[:-1, 0].copy(), row[:-1, 1:].copy())
            for row in self._read(pairs, _entropy_and_ranks)
        ]

    def prefix_logprobs(self, pairs: Sequence[Pair], closing: Sequence[bool]) -> list[float]:
        """Log-prob that an answer begins with a pair's completion and goes on with a token of `closing`, [V] flags."""
        import torch

        flags = torch.tensor(closing, device=self._device)

        def look(logprobs: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
            closed = logprobs[..., flags].logsumexp(-1, keepdim=True)
            return torch.cat([_given(logprobs, following), closed], dim=-1)

        return [float(row[:-1, 0].sum(dtype=np.float64)) + float(row[-1, 1]) for row in self._read(pairs, look)]

    def branches(self, pairs: Sequence[Pair], going_on: Mapping[int, Sequence[int]]) -> list[list[float]]:
        """Log-probs that an answer begins with a pair's completion, which is not empty, then two tokens.

        `going_on`: the first of them -> those that the second may be; one number a first token for every pair, in this
        order. A prompt is read once for all its completions, and a completion once for all tokens.
        """
        import torch

        rows: dict[int, list[float]] = {}
        with torch.inference_mode():
            for prompt, places in _by_prompt(pairs).items():
                completions = [pairs[place][1] for place in places]
                rows.update(zip(places, self._branches_of(prompt, completions, going_on), strict=True))
        return [rows[place] for place in range(len(pairs))]

    def _branches_of(
        self, prompt: Sequence[int], completions: Sequence[Sequence[int]], going_on: Mapping[int, Sequence[int]]
    ) -> list[list[float]]:
        start = self._begin(prompt)
        rows: dict[int, list[float]] = {}
        for length, places in _by_size(completions).items():
            whole = len(prompt) + length
            room = max(self._room(whole, length), len(going_on) * self._room(whole + 1, 1))
            for batch in by_length([room] * len(places), BATCH_LOGITS):
                asked = [places[index] for index in batch]
                found = self._branch(start, [completions[place] for place in asked], going_on)
                rows.update(zip(asked, found.tolist(), strict=True))
        return [rows[place] for place in range(len(completions))]

    def _branch(
        self, start: _Begun, completions: Sequence[Sequence[int]], going_on: Mapping[int, Sequence[int]]
    ) -> torch.Tensor:
        """[B, T] of B completions, all equally long, and T tokens that come first behind them."""
        import torch

        rows, cache = len(completions), start.copied(len(completions))
        ids = torch.tensor([*completions], device=self._device)
        following, begun = start.following.expand(rows, -1, -1), torch.zeros(rows, dtype=torch.float64)
        for block in ids.split(max(1, BATCH_LOGITS // (rows * self._vocabulary)), dim=1):
            read = self._model(input_ids=block, past_key_values=cache, use_cache=True).logits.float().log_softmax(-1)
            before = torch.cat([following, read[:, :-1]], dim=1)
            begun += _given(before, block).double().sum(dim=(1, 2)).cpu()
            following = read[:, -1:]
        cache.batch_repeat_interleave(len(going_on))
        first = torch.tensor(list(going_on), device=self._device).repeat(rows)[:, None]
        output = self._model(input_ids=first, past_key_values=cache, use_cache=True)
        after = output.logits[:, -1].float().log_softmax(-1).unflatten(0, (rows, len(going_on)))
        then = [after[:, place, list(second)].logsumexp(-1) for place, second in enumerate(going_on.values())]
        both = following[:, 0, list(going_on)].double() + torch.stack(then, dim=-1).double()
        return begun[:, None] + both.cpu()

    def _read(self, pairs: Sequence[Pair], look: Look) -> list[np.ndarray]:
        """What `look` keeps of the T + 1 distributions at a pair's T completion tokens: before each, after the last.

        The last row of what follows a token means nothing: nothing follows.
        """
        import torch

        rows: dict[int, np.ndarray] = {}
        with torch.inference_mode():
            for prompt, places in _by_prompt(pairs).items():
                if (len(places) - 1) * len(prompt) >= SPARED:
                    completions = [pairs[place][1] for place in places]
                    rows.update(zip(places, self._read_completions(prompt, completions, look), strict=True))
            alone = [place for place in range(len(pairs)) if place not in rows]
            lengths = [sum(map(len, pairs[place])) for place in alone]
            for batch in by_length([self._room(length, length) for length in lengths], BATCH_LOGITS):
                read = self._read_batch([pairs[alone[index]] for index in batch], look)
                rows.update(zip((alone[index] for index in batch), read, strict=True))
        return [rows[place] for place in range(len(pairs))]

    def _read_completions(
        self, prompt: Sequence[int], completions: Sequence[Sequence[int]], look: Look
    ) -> list[np.ndarray]:
        """Of one prompt, which is read once for all of them: of few words many times answered it is the long part."""
        start = self._begin(prompt)
        rows: dict[int, np.ndarray] = {}
        rooms = [self._room(len(prompt) + len(tokens), len(tokens) + 1) for tokens in completions]
        for batch in by_length(rooms, BATCH_LOGITS):
            read = self._read_on(start, [completions[place] for place in batch], look)
            rows.update(zip(batch, read, strict=True))
        return [rows[place] for place in range(len(completions))]

    def _begin(self, prompt: Sequence[int]) -> _Begun:
        import torch

        ids = torch.tensor([prompt], device=self._device)
        output = self._model(input_ids=ids, use_cache=True, **({"logits_to_keep": 1} if self._keeps else {}))
        return _Begun(output.past_key_values, output.logits[:, -1:].float().log_softmax(-1))

    def _read_on(self, start: _Begun, completions: Sequence[Sequence[int]], look: Look) -> Iterator[np.ndarray]:
        """After a prompt that was read."""
        import torch

        rows, width = len(completions), max(map(len, completions))
        cache = start.copied(rows)
        # Filled up behind, where nothing that counts looks, and by one column more than the model reads.
        filled = [[*tokens, *[0] * (width + 1 - len(tokens))] for tokens in completions]
        ids = torch.tensor(filled, device=self._device)
        kept = [look(start.following.expand(rows, -1, -1), ids[:, :1]).cpu()]
        step = max(1, BATCH_LOGITS // (rows * self._vocabulary))
        for begin in range(0, width, step):
            end = min(begin + step, width)
            output = self._model(input_ids=ids[:, begin:end], past_key_values=cache, use_cache=True)
            kept.append(look(output.logits.float().log_softmax(-1), ids[:, begin + 1 : end + 1]).cpu())
        read = torch.cat(kept, dim=1).numpy()
        return (row[: len(tokens) + 1] for row, tokens in zip(read, completions, strict=True))

    def _room(self, cached: int, of_logits: int) -> int:
        """Of `BATCH_LOGITS`, what a row takes: its logits, or its share of the cache where that is more."""
        return max(of_logits * self._vocabulary, -(-cached * BATCH_LOGITS // BATCH_TOKENS))

    def _read_batch(self, pairs: Sequence[Pair], look: Look) -> list[np.ndarray]:
        import torch

        whole = [(*prompt, *completion) for prompt, completion in pairs]
        width = max(map(len, whole))
        # One column more than the model reads, so that every position has a token that follows.
        ids = torch.tensor([[*tokens, *[0] * (width + 1 - len(tokens))] for tokens in whole], device=self._device)
        lengths = torch.tensor([len(tokens) for tokens in whole], device=self._device)
        mask = (torch.arange(width, device=self._device) < lengths[:, None]).long()
        first = min(len(prompt) for prompt, _ in pairs) - 1
        kept = [
            look(logits.log_softmax(-1), ids[:, begin + 1 : begin + 1 + logits.shape[1]]).cpu()
            for begin, logits in self._blocks(ids[:, :width], mask, first)
        ]
        rows = torch.cat(kept, dim=1).numpy()
        return [
            row[len(prompt) - 1 - first : len(prompt) + len(completion) - first]
            for row, (prompt, completion) in zip(rows, pairs, strict=True)
        ]

    def _blocks(self, ids: torch.Tensor, mask: torch.Tensor, first: int) -> Iterator[tuple[int, torch.Tensor]]:
        """(position, [B, C, V] float32 logits) of consecutive blocks of positions, from `first` to the end."""
        rows, width = ids.shape
        step = max(1, BATCH_LOGITS // (rows * self._vocabulary))
        cache, start = None, 0
        for begin in range(first, width, step):
            end = min(begin + step, width)
            output = self._model(
                input_ids=ids[:, start:end],
                attention_mask=mask[:, :end],
                past_key_values=cache,
                use_cache=end < width or cache is not None,
                **({"logits_to_keep": end - begin} if self._keeps else {}),
            )
            cache, start = output.past_key_values, end
            yield begin, output.logits[:, begin - end :].float()


def _by_prompt(pairs: Sequence[Pair]) -> dict[tuple[int, ...], list[int]]:
    """Where each prompt's pairs are."""
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, (prompt, _) in enumerate(pairs):
        places[tuple(prompt)].append(place)
    return places


def _by_size(completions: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """Where those of each length are: a token that is put behind them stands behind all at once."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, completion in enumerate(completions):
        places[len(completion)].append(place)
    return places


def _given(logprobs: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    return logprobs.gather(-1, following[..., None])


def _entropy_and_ranks(logprobs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    import torch

    # `entr` is 0 where a distribution gives no chance at all, and there are models that mask tokens so.
    entropy = torch.special.entr(logprobs.exp()).sum(-1, keepdim=True)
    size = logprobs.shape[-1]
    top = logprobs.topk(min(RANKS[-1], size), dim=-1).values
    at_ranks = top[..., [rank - 1 for rank in RANKS if rank <= size]]
    missing = at_ranks.new_full((*at_ranks.shape[:-1], len(RANKS) - at_ranks.shape[-1]), float("nan"))
    return torch.cat([entropy, at_ranks, missing], dim=-1)
