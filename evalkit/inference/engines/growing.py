"""How far completions are that grow side by side, by what they have taken of the time that all will take.

vLLM tells of a prompt when the last of its completions has ended. Of a thousand that run together most end late, and
the last ones leave the device half idle: by what has ended a tenth of the work would look like nearly none. What is
told here in its place is the share of the time, as a number of completions. It takes two guesses, which get better as
a checkpoint is sampled: how long completions get, and what a step costs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.engines.base import Progress
from evalkit.plumbing.arrays import Array

STEPS = 8
"""From one look to the next."""
SECONDS = 1.0
"""Between two forecasts at least: one takes some milliseconds where completions have tens of thousands of tokens."""
FIXED = 0.15
"""The share of a step that it costs however few completions run, before that was seen ..."""
BELIEF = 0.25
"""... and how much that counts, where a look that was taken counts 1."""
PROMPT = 4.0
"""Tokens that a new completion costs as much as, before that was seen."""
PRIOR = 4.0
"""Completions that are taken to have been seen at each age, and to have ended there as often as at all ages."""


class Pace:
    """What is known of a checkpoint's completions: how long they get, and what their steps cost.

    Ages are counted in blocks of `STEPS` tokens.
    """

    def __init__(self) -> None:
        self._lived = np.zeros(1)
        """How many completions were seen to live through each block, or to end in it ..."""
        self._ended = np.zeros(1)
        """... and how many of them ended."""
        self._seen = np.zeros(3)
        self._seconds = 0.0
        # Least squares of relative errors: what looks saw, against the seconds that passed.
        self._products = np.zeros((3, 3))
        self._targets = np.zeros(3)

    def add(self, steps: int, tokens: int, starts: int, seconds: float) -> None:
        """So many steps made so many tokens, and began so many completions."""
        seen = np.array([steps, tokens, starts], dtype=np.float64)
        self._seen += seen
        self._seconds += seconds
        self._products += np.outer(seen, seen) / seconds**2
        self._targets += seen / seconds

    def live(self, ages: Sequence[int], ended: bool) -> None:
        """Completions of these ages lived through the block that they were in, or ended in it."""
        blocks = np.asarray(ages, dtype=np.int64) // STEPS
        size = max(len(self._lived), int(blocks.max(initial=0)) + 1)
        self._lived, self._ended = (np.pad(known, (0, size - len(known))) for known in (self._lived, self._ended))
        counts = np.bincount(blocks, minlength=size)
        self._lived += counts
        self._ended += counts * ended

    def seconds_left(self, ages: Array, most: int) -> float:
        """Of a call's completions, (k,) `ages` tokens long, 0 where one has not begun, and cut at `most`."""
        survival = self._survival(-(-most // STEPS))
        left = STEPS * np.cumsum(survival[::-1])[::-1] / survival  # mean tokens from each block on
        blocks = np.minimum(ages.astype(np.int64) // STEPS, len(left) - 1)
        tokens, waiting = float(left[blocks].sum()), int((ages == 0).sum())
        running = blocks[ages > 0]
        if waiting:
            last = np.zeros(max(1, len(running)), dtype=np.int64)
            # In the end they are fewer and fewer.
            steps = tokens / len(last) + max(0.0, _longest(last, survival) - float(left[0]))
        else:
            steps = _longest(running, survival)
        return float(self._costs() @ [steps, tokens, waiting])

    def _survival(self, blocks: int) -> Array:
        """(blocks,) share of completions that get to each block (Kaplan and Meier 1958)."""
        everywhere = (self._ended.sum() + 0.5) / (self._lived.sum() + PRIOR)
        lived, ended = (
            np.pad(known[:blocks], (0, max(0, blocks - len(known)))) for known in (self._lived, self._ended)
        )
        chances = (ended + PRIOR * everywhere) / (lived + PRIOR)
        survival = np.cumprod(np.concatenate([[1.0], 1 - chances[:-1]]))
        return np.asarray(np.maximum(survival, 1e-100))

    def _costs(self) -> Array:
        """(3,) seconds of a step, of a token and of a start."""
        from scipy.optimize import nnls

        steps, tokens, _ = self._seen
        of_step, of_token = self._seconds / steps, self._seconds / max(tokens, 1.0)
        products, targets = self._products.copy(), self._targets.copy()
        for place, cost in enumerate((FIXED * of_step, (1 - FIXED) * of_token, PROMPT * of_token)):
            products[place, place] += (BELIEF / cost) ** 2
            targets[place] += BELIEF**2 / cost
        root = np.linalg.cholesky(products)
        return np.asarray(nnls(root.T, np.linalg.solve(root, targets))[0])


def _longest(blocks: NDArray[np.int64], survival: Array) -> float:
    """Mean tokens until the last of completions ends, (k,) of which are in these blocks."""
    if not len(blocks):
        return 0.0
    ages, counts = np.unique(blocks, return_counts=True)
    all_ended = np.ones(len(survival))
    for age, count in zip(ages.tolist(), counts.tolist(), strict=True):
        alive = np.zeros(len(survival))
        alive[: len(survival) - age] = survival[age:] / survival[age]
        all_ended *= (1 - alive) ** count
    return float(STEPS * (1 - all_ended).sum())


class Growing:
    """The completions of one call, which tells of itself as they grow."""

    def __init__(self, states: Mapping[str, Any], most: int, pace: Pace, progress: Progress) -> None:
        """`states`: vLLM's own, a completion each, while they grow; `most`: tokens at which they are cut."""
        self._states = states
        self._most = most
        self._pace = pace
        self._progress = progress
        self._ages = self._now()
        self._size = len(self._ages)
        self._steps = self._tokens = 0
        self._told = (0, 0)
        """Completions and tokens."""
        self._began = self._looked = time.monotonic()
        self._foretold = -math.inf

    def step(self) -> None:
        """Each completion that runs has one more token, or has ended."""
        self._steps += 1
        if self._steps % STEPS == 0:
            self._look()

    def end(self, tokens: int) -> None:
        """All have ended, with so many tokens."""
        self._pace.live(self._not_cut(self._ages.values()), ended=True)
        self._tell(self._size, tokens)

    def _look(self) -> None:
        before, self._ages = self._ages, self._now()
        ended = [age for one, age in before.items() if one not in self._ages]
        grown = [age for one, age in before.items() if self._ages.get(one, 0) > age]
        more = sum(self._ages[one] - age for one, age in before.items() if one in self._ages)
        work = more + len(ended) * STEPS // 2  # what those that ended got since they were last seen, on average
        now = time.monotonic()
        self._pace.add(STEPS, work, grown.count(0), max(now - self._looked, 1e-6))
        self._pace.live(grown, ended=False)
        self._pace.live(self._not_cut(ended), ended=True)
        self._looked = now
        self._tokens += more
        if now - self._foretold >= SECONDS:
            self._foretold = now
            self._tell(max(self._told[0], self._reached(now - self._began)), self._tokens)

    def _reached(self, passed: float) -> int:
        """How many completions would have been made of all, had each taken as long."""
        left = self._pace.seconds_left(np.array(list(self._ages.values()), dtype=np.float64), self._most)
        return int(self._size * passed / (passed + left))

    def _tell(self, completions: int, tokens: int) -> None:
        before, self._told = self._told, (completions, tokens)
        self._progress(completions - before[0], tokens - before[1])

    def _not_cut(self, ages: Iterable[int]) -> list[int]:
        """Those that ended by themselves: of one that was a look or less before the cut nobody knows."""
        return [age for age in ages if age < self._most - STEPS]

    def _now(self) -> dict[str, int]:
        return {one: len(state.detokenizer.output_token_ids) for one, state in self._states.items()}
