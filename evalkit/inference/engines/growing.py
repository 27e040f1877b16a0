"""How far completions are that grow side by side, by their tokens.

vLLM tells of a prompt when the last of its completions has ended. Of a thousand that run together most end late, so by
what has ended a tenth of the work would look like nearly none, and half like most. What is told here in its place is
the share of all tokens that are there already, as a number of completions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalkit.inference.engines.base import Progress
from evalkit.plumbing.arrays import Array

STEPS = 8
"""Tokens that each completion grows by between two looks: a thousandth of the time goes into looking."""


@dataclass
class Lengths:
    """What is known of how long a checkpoint's completions get."""

    tokens: int = 0
    """Of all completions so far, those that still grow among them."""
    ends: int = 0
    """How many ended before they were cut."""

    def left(self, ages: Array, most: int) -> float:
        """Tokens that completions are still to get, (k,) `ages` tokens long and cut at `most`.

        As if each token were the last with the same chance, whose likeliest value is ends over tokens; so what is not
        at its end yet counts too, and what has ended early does not pass for all.
        """
        room = most - ages
        if not self.ends:
            return float(room.sum())
        mean = self.tokens / self.ends
        return float((mean * -np.expm1(-room / mean)).sum())


class Growing:
    """The completions of one call, which tells of itself as they grow."""

    def __init__(self, states: Mapping[str, Any], most: int, lengths: Lengths, progress: Progress) -> None:
        """`states`: vLLM's own, a completion each, while they grow; `most`: tokens at which they are cut."""
        self._states = states
        self._most = most
        self._lengths = lengths
        self._progress = progress
        self._ages = self._now()
        self._size = len(self._ages)
        self._steps = self._work = self._tokens = self._told = 0

    def step(self) -> None:
        """Each completion that runs has one more token, or has ended."""
        self._steps += 1
        if self._steps % STEPS == 0:
            self._look()

    def end(self, tokens: int) -> None:
        """All have ended, with so many tokens."""
        self._lengths.tokens += tokens - self._work
        self._lengths.ends += self._ends(self._ages.values())
        self._progress(self._size - self._told, tokens - self._tokens)

    def _look(self) -> None:
        before, self._ages = self._ages, self._now()
        ended = [age for one, age in before.items() if one not in self._ages]
        more = sum(age - before[one] for one, age in self._ages.items())
        work = more + len(ended) * STEPS // 2  # what those that ended got since they were last seen, on average
        self._work += work
        self._lengths.tokens += work
        self._lengths.ends += self._ends(ended)
        if self._work:
            left = self._lengths.left(np.array(list(self._ages.values()), dtype=np.float64), self._most)
            reached = max(self._told, int(self._size * self._work / (self._work + left)))
            self._progress(reached - self._told, more)
            self._told, self._tokens = reached, self._tokens + more

    def _ends(self, ages: Iterable[int]) -> int:
        """How many that were so long at the last look were not cut: one look or less before the cut nobody knows."""
        return sum(age < self._most - STEPS for age in ages)

    def _now(self) -> dict[str, int]:
        return {one: len(state.detokenizer.output_token_ids) for one, state in self._states.items()}
