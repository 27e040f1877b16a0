"""How far completions are that grow side by side, by what they have taken of the time that all will take.

vLLM tells of a prompt when the last of its completions has ended. Of a thousand that run together most end late, and
the last ones leave the device half idle: by what has ended a tenth of the work would look like nearly none. What is
told here in its place is the share of the time, as a number of completions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from evalkit.inference.engines.base import Progress
from evalkit.inference.engines.pace import STEPS, Pace, steps_and_tokens
from evalkit.records import Sampling

SECONDS = 1.0
"""Between two forecasts at least: one takes some milliseconds where completions have tens of thousands of tokens."""


class Growing:
    """The completions of one call, which tells of itself as they grow."""

    def __init__(self, states: Mapping[str, Any], sampling: Sampling, pace: Pace, progress: Progress) -> None:
        """`states`: vLLM's own, a completion each, while they grow."""
        self._states = states
        self._most = sampling.max_tokens
        self._costs = pace.costs
        self._lifetimes = pace.lifetimes(sampling)
        self._progress = progress
        self._prompts = {one: int(state.prompt_len) for one, state in states.items()}
        self._ages = self._of_block = self._now()
        """When it was looked last, and when last at a block's end."""
        self._steps = self._tokens = 0
        self._told = (0, 0)
        """Completions and tokens."""
        self._began = self._looked = time.monotonic()
        self._looked_at = 0
        self._foretold = -math.inf

    def step(self) -> None:
        """Each completion that runs has one more token, or has ended."""
        self._steps += 1
        # Each of the first, which read prompts: later they could not be told from what answers cost.
        if self._steps < STEPS or self._steps % STEPS == 0:
            self._look()

    def end(self, tokens: int) -> None:
        """All have ended, with so many tokens."""
        self._lifetimes.add(self._not_cut(self._of_block.values()), ended=True)
        self._tell(len(self._prompts), tokens)

    def _look(self) -> None:
        before, self._ages = self._ages, self._now()
        steps, self._looked_at = self._steps - self._looked_at, self._steps
        more = sum(self._ages[one] - age for one, age in before.items() if one in self._ages)
        ended = len(before) - len(self._ages)
        begun = [one for one, age in before.items() if age == 0 and self._ages.get(one) != 0]
        now = time.monotonic()
        self._costs.add(
            steps,
            more + ended * (steps + 1) // 2,  # those that ended have since got half of what others did, on average
            sum(self._prompts[one] for one in begun),
            max(now - self._looked, 1e-6),
        )
        self._looked = now
        self._tokens += more
        if self._steps % STEPS == 0:
            self._end_block()
        if now - self._foretold >= SECONDS:
            self._foretold = now
            self._tell(max(self._told[0], self._reached(now - self._began)), self._tokens)

    def _end_block(self) -> None:
        before, self._of_block = self._of_block, self._ages
        ended = [age for one, age in before.items() if one not in self._ages]
        self._lifetimes.add((age for one, age in before.items() if self._ages.get(one, 0) > age), ended=False)
        self._lifetimes.add(self._not_cut(ended), ended=True)

    def _reached(self, passed: float) -> int:
        """How many completions would have been made of all, had each taken as long."""
        ages = np.array(list(self._ages.values()), dtype=np.float64)
        steps, tokens = steps_and_tokens(ages, self._lifetimes.survival(self._most))
        to_read = sum(self._prompts[one] for one, age in self._ages.items() if age == 0)
        left = self._costs.seconds(steps, tokens, to_read)
        return int(len(self._prompts) * passed / (passed + left))

    def _tell(self, completions: int, tokens: int) -> None:
        before, self._told = self._told, (completions, tokens)
        self._progress(completions - before[0], tokens - before[1])

    def _not_cut(self, ages: Iterable[int]) -> list[int]:
        """Those that ended by themselves: of one that was a look or less before the cut nobody knows."""
        return [age for age in ages if age < self._most - STEPS]

    def _now(self) -> dict[str, int]:
        return {one: len(state.detokenizer.output_token_ids) for one, state in self._states.items()}
