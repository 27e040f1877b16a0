"""How far a load is in time: calls of one kind take alike, those of another kind may take longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.inference.workers.calls import Call

PRIOR = 0.05
"""Share of a kind that counts as done at the pace of all kinds: of a few units little can be said."""


@dataclass
class _Kind:
    expected: float = 1.0
    """What a unit takes, against those of other kinds, before any is done."""
    units: int = 0
    done: int = 0
    seconds: float = 0.0
    """Of replicas, all together, for what is done."""

    def seconds_left(self, of_one_expected: float) -> float:
        """`of_one_expected`: seconds that a unit of which 1 is expected takes on average over all kinds."""
        if self.done >= self.units:
            return 0.0
        prior = PRIOR * self.units
        own = (self.seconds + prior * of_one_expected * self.expected) / (self.done + prior)
        return (self.units - self.done) * own


class Tempo:
    """The calls of one load while they are made."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._kinds: dict[str, _Kind] = defaultdict(_Kind)
        for call in calls:
            self._kinds[call.kind].units += call.size
            self._kinds[call.kind].expected = call.expected

    def add(self, kind: str, units: int, seconds: float) -> None:
        """So many more units of a kind are done, which took so long; fewer, where work was lost."""
        self._kinds[kind].done += units
        self._kinds[kind].seconds += seconds

    @property
    def share(self) -> float:
        """Of the time that all takes; 0 where nothing is known yet."""
        kinds = self._kinds.values()
        done, seconds = sum(kind.done * kind.expected for kind in kinds), sum(kind.seconds for kind in kinds)
        if done <= 0 or seconds <= 0:
            return 0.0
        return seconds / (seconds + sum(kind.seconds_left(seconds / done) for kind in kinds))
