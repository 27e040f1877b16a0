"""Which pair is put to people next: a file's in a shuffled order, or a run's by chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from evalkit.preferences.annotate.run_pairs import RunPairs
from evalkit.preferences.annotation import Annotation, Comparison


class Chooser(Protocol):
    """Draws the pairs that people are asked about, one whenever somebody needs a new one.

    It draws no pair twice: what was drawn before it was made (by a server that was stopped) it is told then.
    """

    def draw(self, votes: Sequence[Annotation], generator: random.Random) -> Comparison | None:
        """The next pair, with the probability that it had among all that could have been drawn; None when all are.

        `votes`: all that has been said so far by the group that is asked.
        """


Place = tuple[str, str, int, int]
"""A pair of a run: arm, prompt id, and which draws they are of the arm and of its baseline."""
RunChooser = Callable[[RunPairs, Collection[Place]], Chooser]
"""Makes a chooser of a run's pairs, which is told those that were drawn before."""


class ShuffledPairs:
    """Every pair of a file, in an order that the seed decides."""

    def __init__(self, comparisons: Sequence[Comparison], drawn: Collection[str], seed: int) -> None:
        """`drawn`: ids of the comparisons that were drawn before."""
        left = list({one.id: one for one in comparisons}.items())
        random.Random(seed).shuffle(left)  # noqa: S311 (an order, no secret)
        self._left = [one for id_, one in reversed(left) if id_ not in drawn]

    def draw(self, votes: Sequence[Annotation], generator: random.Random) -> Comparison | None:
        return self._left.pop() if self._left else None


class UniformPairs:
    """Pairs of a run: an arm by chance, then one of all its pairs with the baseline, every one with equal chance.

    Pairs of equal texts are left out: there is nothing to choose.
    """

    def __init__(self, pairs: RunPairs, drawn: Collection[Place]) -> None:
        """`drawn`: those that were drawn before."""
        self._pairs = pairs
        self._urns = {arm: _Urn(pairs.size(arm)) for arm in pairs.arms}
        self._equal = {arm: pairs.equal(arm) for arm in pairs.arms}
        for arm, prompt_id, own, other in drawn:
            if arm in self._urns and (number := pairs.number(arm, prompt_id, own, other)) is not None:
                self._urns[arm].remove(number)

    def draw(self, votes: Sequence[Annotation], generator: random.Random) -> Comparison | None:
        arms = [arm for arm in self._urns if self._left(arm)]
        if not arms:
            return None
        arm = generator.choice(arms)
        probability = 1 / (len(arms) * self._left(arm))
        while True:
            comparison = self._pairs.comparison(arm, self._urns[arm].draw(generator))
            if comparison.pair.a != comparison.pair.b:
                return replace(comparison, probability=probability)
            self._equal[arm] -= 1

    def _left(self, arm: str) -> int:
        """How many pairs of unequal texts there are still."""
        return self._urns[arm].left - self._equal[arm]


class _Urn:
    """The numbers below `size`, of which none is drawn twice: shuffled as far as it was looked at, so that a size of
    billions takes no memory.
    """

    def __init__(self, size: int) -> None:
        self.left = size
        self._number_at: dict[int, int] = {}
        self._place_of: dict[int, int] = {}

    def draw(self, generator: random.Random) -> int:
        return self._take(generator.randrange(self.left))

    def remove(self, number: int) -> None:
        """Take out a number that is in it; one that is not stays out."""
        place = self._place_of.get(number, number)
        if place < self.left:
            self._take(place)

    def _take(self, place: int) -> int:
        """The number at a place, which the last one then takes."""
        number, last = self._at(place), self._at(self.left - 1)
        self._put(last, place)
        self._put(number, self.left - 1)
        self.left -= 1
        return number

    def _at(self, place: int) -> int:
        return self._number_at.get(place, place)

    def _put(self, number: int, place: int) -> None:
        self._number_at[place] = number
        self._place_of[number] = place
