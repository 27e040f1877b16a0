"""How far completions are that grow side by side, by what they have taken of the time that all will take.

vLLM tells of a prompt when the last of its completions has ended. Of a thousand that run together most end late, and
the last ones leave the device half idle: by what has ended a tenth of the work would look like nearly none. What is
told here in its place is the share of the time, as a number of completions. It takes two guesses, which get better as
a checkpoint is sampled: how long completions get, and what a step costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from evalkit.inference.engines.base import Progress
from evalkit.plumbing.arrays import Array

STEPS = 8
"""From one look to the next: a thousandth of the time goes into looking."""
FIXED = 0.15
"""The share of a step that it costs however few completions run, before that was seen ..."""
BELIEF = 0.25
"""... and how much that counts, where a look that was taken counts 1."""
PROMPT = 4.0
"""Tokens that a new completion costs as much as, before that was seen."""
GUMBEL = 0.58
"""The longest of k exponential lengths is log k and this many times their mean (Euler's constant)."""


class Pace:
    """What is known of a checkpoint's completions: how long they get, and what their steps cost."""

    def __init__(self) -> None:
        self.tokens = 0
        """Of all so far, those that still grow among them."""
        self.ends = 0
        """How many ended before they were cut."""
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

    def seconds_left(self, ages: Array, most: int) -> float:
        """Of a call's completions, (k,) `ages` tokens long, 0 where one has not begun, and cut at `most`."""
        running, waiting = ages[ages > 0], int((ages == 0).sum())
        at_once = max(1, len(running))
        tokens = float(self.tokens_left(ages, most).sum())
        longest = min(most, self._mean(most) * (np.log(at_once) + GUMBEL))
        if waiting:
            own = float(self.tokens_left(np.zeros(1), most)[0])
            steps = tokens / at_once + max(0.0, longest - own)  # in the end they are fewer and fewer
        else:
            steps = min(most - float(running.min(initial=most)), longest)
        return float(self._costs() @ [steps, tokens, waiting])

    def tokens_left(self, ages: Array, most: int) -> Array:
        """(k,) tokens that completions are still to get, as if each token were the last with the same chance.

        Its likeliest value is ends over tokens: so what has not ended counts too, and early ends do not pass for all.
        """
        mean = self._mean(most)
        return np.asarray(mean * -np.expm1(-(most - ages) / mean))

    def _mean(self, most: int) -> float:
        """Tokens of a completion that is not cut; so many that all are, where none has ended yet."""
        return self.tokens / self.ends if self.ends else 1e3 * most

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
        self._steps = self._work = self._tokens = self._told = 0
        self._began = self._looked = time.monotonic()

    def step(self) -> None:
        """Each completion that runs has one more token, or has ended."""
        self._steps += 1
        if self._steps % STEPS == 0:
            self._look()

    def end(self, tokens: int) -> None:
        """All have ended, with so many tokens."""
        self._pace.tokens += tokens - self._work
        self._pace.ends += self._ends(self._ages.values())
        self._progress(self._size - self._told, tokens - self._tokens)

    def _look(self) -> None:
        before, self._ages = self._ages, self._now()
        ended = [age for one, age in before.items() if one not in self._ages]
        more = sum(age - before[one] for one, age in self._ages.items())
        work = more + len(ended) * STEPS // 2  # what those that ended got since they were last seen, on average
        starts = sum(age == 0 and self._ages.get(one, 1) > 0 for one, age in before.items())
        now = time.monotonic()
        self._pace.add(STEPS, work, starts, now - self._looked)
        self._pace.tokens += work
        self._pace.ends += self._ends(ended)
        self._work, self._looked = self._work + work, now
        left = self._pace.seconds_left(np.array(list(self._ages.values()), dtype=np.float64), self._most)
        passed = now - self._began
        reached = max(self._told, int(self._size * passed / (passed + left)))
        self._progress(reached - self._told, more)
        self._told, self._tokens = reached, self._tokens + more

    def _ends(self, ages: Iterable[int]) -> int:
        """How many that were so long at the last look were not cut: one look or less before the cut nobody knows."""
        return sum(age < self._most - STEPS for age in ages)

    def _now(self) -> dict[str, int]:
        return {one: len(state.detokenizer.output_token_ids) for one, state in self._states.items()}
