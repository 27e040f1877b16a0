"""What is foretold of completions that grow side by side: how long they get, and what the steps cost that they take.

Two guesses, which get better as a checkpoint is sampled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalkit.plumbing.arrays import Array
from evalkit.records import Sampling

STEPS = 8
"""Tokens of a block of ages."""
FIXED = {"cpu": 0.05, "cuda": 0.3}
"""The share of a step that it costs however few completions run, by the device, before that was seen ..."""
PREFILL = 0.4
"""... what a token of a prompt costs, where one of a completion costs 1 ..."""
BELIEF = 0.25
"""... and how much these count, where a look that was taken counts 1."""
ROOM = 0.25
"""How long a completion is guessed to get, of what it may, before any was seen ..."""
GUESSED = 16.0
"""... and how many completions that is worth, where of each age `PRIOR` count at most."""
PRIOR = 4.0
"""Completions that are taken to have been seen at each age, and to have ended there as often as at all ages."""


class Lifetimes:
    """How long the completions get that a checkpoint draws with one setting.

    Ages are counted in blocks of `STEPS` tokens.
    """

    def __init__(self, guess: float) -> None:
        """`guess`: how many tokens, before any was seen."""
        self._guess = guess
        self._lived = np.zeros(1)
        """How many completions were seen to live through each block, or to end in it ..."""
        self._ended = np.zeros(1)
        """... and how many of them ended."""

    def add(self, ages: Iterable[int], ended: bool) -> None:
        """Completions of these ages lived through the block that they were in, or ended in it."""
        blocks = np.fromiter(ages, dtype=np.int64) // STEPS
        size = max(len(self._lived), int(blocks.max(initial=0)) + 1)
        self._lived, self._ended = (np.pad(known, (0, size - len(known))) for known in (self._lived, self._ended))
        counts = np.bincount(blocks, minlength=size)
        self._lived += counts
        self._ended += counts * ended

    def survival(self, most: int) -> Array:
        """(blocks + 1,) share of completions that get to each block, and to the cut at `most` tokens.

        Kaplan and Meier 1958; at ages that few were seen at, drawn towards how often they end at all ages.
        """
        blocks = -(-most // STEPS)
        lived, ended = (
            np.pad(known[:blocks], (0, max(0, blocks - len(known)))) for known in (self._lived, self._ended)
        )
        # What happens at one age says little of others, be it seen ever so often.
        seen = np.minimum(lived, PRIOR)
        ends = GUESSED * min(1.0, STEPS / self._guess) + (seen * ended / np.maximum(lived, 1)).sum()
        everywhere = ends / (GUESSED + seen.sum())
        chances = (ended + PRIOR * everywhere) / (lived + PRIOR)
        return np.asarray(np.maximum(np.cumprod(np.concatenate([[1.0], 1 - chances])), 1e-100))


class Costs:
    """What steps of a checkpoint cost: each as such, by the tokens that it makes, and by those of prompts it reads."""

    def __init__(self, device: str) -> None:
        self._fixed = FIXED[device]
        self._seen = np.zeros(3)
        self._seconds = 0.0
        # Least squares of relative errors: what looks saw, against the seconds that passed.
        self._products = np.zeros((3, 3))
        self._targets = np.zeros(3)

    def add(self, steps: int, tokens: int, read: int, seconds: float) -> None:
        """So many steps made so many tokens, and read so many of prompts."""
        seen = np.array([steps, tokens, read], dtype=np.float64)
        self._seen += seen
        self._seconds += seconds
        self._products += np.outer(seen, seen) / seconds**2
        self._targets += seen / seconds

    def seconds(self, steps: float, tokens: float, read: float) -> float:
        """What is foretold to take, after something was added."""
        return float(self.each() @ [steps, tokens, read])

    def each(self) -> Array:
        """(3,) seconds of a step, of a token and of a prompt's token."""
        from scipy.optimize import nnls

        steps, tokens, read = np.maximum(self._seen, 1.0)
        of_token = self._seconds / (tokens / (1 - self._fixed) + PREFILL * read)
        of_step = of_token * tokens / steps * self._fixed / (1 - self._fixed)
        products, targets = self._products.copy(), self._targets.copy()
        for place, cost in enumerate((of_step, of_token, PREFILL * of_token)):
            products[place, place] += (BELIEF / cost) ** 2
            targets[place] += BELIEF**2 / cost
        root = np.linalg.cholesky(products)
        return np.asarray(nnls(root.T, np.linalg.solve(root, targets))[0])


def steps_and_tokens(ages: Array, survival: Array) -> tuple[float, float]:
    """That completions still take, (k,) `ages` tokens long, 0 where one has not begun; as many run together as do."""
    # Those that end within a block are taken to do so in its middle.
    through = STEPS * (survival[:-1] + survival[1:]) / 2
    left = np.append(np.cumsum(through[::-1])[::-1], 0.0) / survival
    tokens = float(np.interp(ages / STEPS, np.arange(len(left)), left).sum())
    running = np.minimum(ages[ages > 0].astype(np.int64) // STEPS, len(left) - 2)
    if len(running) == len(ages):
        return _longest(running, survival), tokens
    last = np.zeros(max(1, len(running)), dtype=np.int64)
    # In the end they are fewer and fewer.
    return tokens / len(last) + max(0.0, _longest(last, survival) - float(left[0])), tokens


def _longest(blocks: NDArray[np.int64], survival: Array) -> float:
    """Mean tokens until the last of completions ends, (k,) of which are in these blocks."""
    if not len(blocks):
        return 0.0
    ages, counts = np.unique(blocks, return_counts=True)
    all_ended = np.ones(len(survival) - 1)
    for age, count in zip(ages.tolist(), counts.tolist(), strict=True):
        alive = np.zeros(len(all_ended))
        alive[: len(alive) - age] = survival[age:-1] / survival[age]
        all_ended *= (1 - alive) ** count
    return float(STEPS * (1 - all_ended).sum())


class Pace:
    """What is known of a checkpoint: what its steps cost, and how long completions get with each of its settings."""

    def __init__(self, device: str) -> None:
        """`device`: cpu or cuda."""
        self.costs = Costs(device)
        self._lifetimes: dict[Sampling, Lifetimes] = {}

    def lifetimes(self, sampling: Sampling) -> Lifetimes:
        """Of completions that are drawn so, whatever their number and seed."""
        setting = replace(sampling, n=1, seed=0)
        if setting not in self._lifetimes:
            self._lifetimes[setting] = Lifetimes(self._guess(sampling.max_tokens))
        return self._lifetimes[setting]

    def _guess(self, most: int) -> float:
        """With more room they get longer, though not by as much."""
        known = [
            steps_and_tokens(np.zeros(1), of_setting.survival(setting.max_tokens))[1]
            * math.sqrt(most / setting.max_tokens)
            for setting, of_setting in self._lifetimes.items()
        ]
        return sum(known) / len(known) if known else ROOM * most
