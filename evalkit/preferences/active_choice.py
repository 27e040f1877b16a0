"""Which pair to ask about next, so that few votes settle the win rate, and its estimate stays unbiased.

Prompts take turns, in random order: every prompt has been asked about as often as any other, give or take one. Of the
prompt whose turn it is, a pair is drawn by how unsure the votes so far leave its outcome, and with no less than `FLOOR`
of the chance that a uniform choice gives it. The chance is kept with the pair; `predicted_ballots` has the estimate.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.preferences.annotation import votes as counted_votes
from evalkit.preferences.ballots import Draw, draw_of, wins_of
from evalkit.preferences.predicted_votes import fitted, predicted
from evalkit.preferences.run_pairs import RunPairs

FLOOR = 0.3
"""Of a uniform choice's chance, which every pair has at least: no vote then weighs more than 3.3 others."""


class ActiveChooser:
    """Draws pairs of a run's arms with their baselines; the same votes and generator give the same pair."""

    def __init__(self, pairs: RunPairs) -> None:
        self._pairs = pairs
        self._strata = pairs.strata

    def draw(self, votes: Sequence[Annotation], generator: random.Random) -> Comparison | None:
        """A pair with the chance it had among those of its prompt and arm; None where there is none to compare.

        `votes`: all answers so far, skips too, in the order in which they came. A pair may come up again.
        """
        if not self._strata:
            return None
        taken = Counter((arm, draw[0]) for arm, draw in {self._turn(vote.comparison) for vote in votes})
        fewest = min(taken[stratum] for stratum in self._strata)
        arm, prompt = generator.choice([stratum for stratum in self._strata if taken[stratum] == fewest])
        stratum = self._pairs.stratum(arm, prompt)
        chances = sampling_chances(predicted(stratum.differences, self._coefficients(votes, stratum.fold)))
        [pair] = generator.choices(range(len(chances)), weights=chances.tolist())
        return self._pairs.comparison(stratum, pair, float(chances[pair]))

    def _turn(self, comparison: Comparison) -> tuple[str, Draw]:
        return self._pairs.compared(comparison), draw_of(comparison)

    def _coefficients(self, votes: Sequence[Annotation], fold: int) -> Array:
        """By the votes on prompts of the same fold."""
        known = [vote for vote in counted_votes(votes) if self._pairs.fold(vote.comparison.pair.prompt_id) == fold]
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
