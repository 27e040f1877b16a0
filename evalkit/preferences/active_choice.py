"""Which pair to ask about next, so that few votes settle the win rate, and its estimate stays unbiased.

Prompts take turns, in random order: every prompt has been asked about as often as any other, give or take one. Of the
prompt whose turn it is, a pair is drawn by how unsure the votes so far leave its outcome, and with no less than `FLOOR`
of the chance that a uniform choice gives it. The chance is kept with the pair; `predicted_ballots` has the estimate.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.preferences.ballots import wins_of
from evalkit.preferences.known_pairs import FLOOR, KnownPairs, PairName
from evalkit.preferences.predicted_votes import fitted, predicted


class ActiveChooser:
    """Draws pairs of a run's arms with their baselines, none of them twice."""

    def __init__(self, pairs: KnownPairs, drawn: Collection[PairName] = ()) -> None:
        """`drawn`: those that were drawn before."""
        self._pairs = pairs
        self._strata = pairs.strata
        self._drawn: dict[tuple[str, str], set[PairName]] = {stratum: set() for stratum in self._strata}
        for name in drawn:
            if name[:2] in self._drawn:
                self._drawn[name[:2]].add(name)

    def draw(self, votes: Sequence[Annotation], generator: random.Random) -> Comparison | None:
        """A pair with the chance it had among those that were left of its arm and prompt; None when all are drawn.

        `votes`: all that has been said so far by the group that is asked.
        """
        while self._strata:
            fewest = min(len(self._drawn[stratum]) for stratum in self._strata)
            turn = generator.choice([stratum for stratum in self._strata if len(self._drawn[stratum]) == fewest])
            comparison = self._of_prompt(*turn, votes, generator)
            if comparison is not None:
                return comparison
            self._strata.remove(turn)
        return None

    def _of_prompt(
        self, arm: str, prompt: str, votes: Sequence[Annotation], generator: random.Random
    ) -> Comparison | None:
        stratum, drawn = self._pairs.stratum(arm, prompt), self._drawn[arm, prompt]
        names = self._pairs.names(stratum)
        left = [pair for pair, name in enumerate(names) if name not in drawn]
        if not left:
            return None
        wins = predicted(stratum.differences[left], self._coefficients(votes, stratum.fold))
        chances = sampling_chances(wins).tolist()
        [place] = generator.choices(range(len(left)), weights=chances)
        drawn.add(names[left[place]])
        return self._pairs.comparison(stratum, left[place], min(1.0, chances[place]))

    def _coefficients(self, votes: Sequence[Annotation], fold: int) -> Array:
        """By the votes on prompts of the same fold."""
        known = [vote for vote in self._pairs.among(votes) if self._pairs.fold(vote.comparison.pair.prompt_id) == fold]
        wins = np.array([self._win(vote) for vote in known])
        return fitted(self._pairs.differences(known), wins, np.ones(len(known)))

    def _win(self, vote: Annotation) -> float:
        [win] = wins_of([vote], self._pairs.compared(vote.comparison))
        return float(win)


def sampling_chances(predicted_wins: Array, floor: float = FLOOR) -> Array:
    """(..., N) chances of N pairs, by the spread of a vote on each: (..., N) chances that the first of the two wins."""
    spread = np.sqrt(predicted_wins * (1 - predicted_wins))
    uniform = 1 / predicted_wins.shape[-1]
    return np.asarray(floor * uniform + (1 - floor) * spread / spread.sum(axis=-1, keepdims=True))
