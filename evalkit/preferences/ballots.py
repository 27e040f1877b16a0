"""Votes on one arm against another, as arrays: what win rates are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.crossed import Codes, codes_of

Draw: TypeAlias = tuple[object, ...]
"""One time that a pair was put to a group."""


@dataclass(frozen=True, slots=True)
class Ballots:
    """V votes, (V,) each; an arm's with its baseline."""

    prompts: Codes
    raters: Codes
    wins: Array
    """1 where the arm was chosen, 0 where the baseline, 1/2 of both kinds of tie."""
    weights: Array
    """One over the chance with which the pair was drawn, 1 on average over draws."""
    shares: Array
    """How much a vote counts: draws count alike, and so do votes on one; adds up to 1."""
    expected: Array
    """What was predicted of the pair without this prompt's votes ..."""
    of_all: Array
    """... and on average of all of its prompt's pairs, with what votes on those drawn before say of them."""

    @property
    def terms(self) -> Array:
        """(V,) Each vote's own estimate of the win rate: the prediction for all pairs, and what it was wrong by."""
        return self.of_all + self.weights * (self.wins - self.expected)


def arm_votes(votes: Sequence[Annotation], arm: str, baseline: str) -> list[Annotation]:
    """Those that compare the two, whichever is `a`."""
    return [vote for vote in votes if vote.comparison.arms in ((arm, baseline), (baseline, arm))]


def wins_of(votes: Sequence[Annotation], arm: str) -> Array:
    """(V,) How much each vote speaks for the arm."""
    targets = np.array([vote.target for vote in votes], dtype=np.float64)
    is_first = np.array([(vote.comparison.arms or ("",))[0] == arm for vote in votes], dtype=bool)
    return np.where(is_first, targets, 1 - targets)


def draw_of(vote: Annotation) -> Draw:
    """What tells one draw of a pair from another: several raters of a group may vote on one."""
    comparison = vote.comparison
    which = comparison.sample_indices or (comparison.id,)
    return (vote.group, comparison.pair.prompt_id, comparison.arms, which, comparison.probability)


def shares_of(votes: Sequence[Annotation]) -> Array:
    """(V,) One over the number of draws times the number of votes on the vote's own draw."""
    draws = codes_of([draw_of(vote) for vote in votes])
    counts = np.bincount(draws)
    return np.asarray(1 / (len(counts) * counts[draws]))


def ballots(votes: Sequence[Annotation], arm: str) -> Ballots:
    """Of votes that all compare the arm with one other, without a prediction.

    In its place stands the mean of all votes, by which the estimate becomes Hajek's: weights move it only where votes
    on likely and on unlikely pairs differ.
    """
    wins, shares = wins_of(votes, arm), shares_of(votes)
    weights = 1 / np.array([vote.comparison.probability for vote in votes])
    weights = weights / (shares @ weights)
    mean = np.full(len(votes), shares @ (weights * wins))
    prompts = codes_of([vote.comparison.pair.prompt_id for vote in votes])
    raters = codes_of([(vote.group, vote.rater) for vote in votes])
    return Ballots(prompts, raters, wins, weights, shares, mean, mean)
