"""Votes helped by a prediction: all pairs of a run are predicted, and votes tell how wrong that is.

The estimate is the mean prediction over all of a prompt's pairs plus each vote's distance from its own pair's, weighted
by one over the chance with which the pair was drawn (Angelopoulos et al. 2023, "Prediction-powered inference"; Zrnic &
Candes 2024, "Active statistical inference"). It is unbiased whatever the prediction is worth, as long as that does not
know the vote: prompts are divided into folds, pairs of a fold were drawn by what earlier votes on the same fold said,
and are predicted by what all votes on the other folds say. So folds know nothing of each other while they are
collected, and within a fold the votes' errors are martingale differences, though pairs are chosen by votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.ballots import Ballots, Draw, draw_of, wins_of
from evalkit.preferences.known_pairs import FLOOR, FOLDS, KnownPairs
from evalkit.preferences.predicted_votes import fitted, predicted

_MOST = 1 / FLOOR * (1 + 1e-9)
"""Of a pair drawn among its prompt's, whose chance is never below `FLOOR` of a uniform choice's."""


def predicted_ballots(cast: Ballots, votes: Sequence[Annotation], arm: str, pairs: KnownPairs) -> Ballots:
    """The same votes on one arm, with predictions; `votes` must be on `pairs`."""
    differences, prompts = pairs.differences(votes), [vote.comparison.pair.prompt_id for vote in votes]
    folds = np.array([pairs.fold(prompt) for prompt in prompts])
    coefficients = fold_coefficients(differences, wins_of(votes, arm), folds != np.arange(FOLDS)[:, None])
    expected = predicted(differences[:, None, :], coefficients[folds])[:, 0]
    means, sizes = {}, {}
    for prompt in dict.fromkeys(prompts):
        stratum = pairs.stratum(arm, prompt)
        means[prompt] = mean_prediction(stratum.differences, coefficients[stratum.fold])
        sizes[prompt] = len(stratum.pairs)
    size = np.array([sizes[prompt] for prompt in prompts])
    weights = 1 / (size * [vote.comparison.probability for vote in votes])
    of_all = np.array([means[prompt] for prompt in prompts])
    if weights.max() > _MOST:
        # Drawn among the pairs of all prompts: Hajek's weights, which are right however many prompts there are.
        return replace(cast, weights=weights / (cast.shares @ weights), expected=expected, of_all=of_all)
    settled = settled_before(cast.wins - expected, votes) / size
    return replace(cast, weights=weights, expected=expected, of_all=of_all + settled)


def settled_before(residuals: Array, votes: Sequence[Annotation]) -> Array:
    """(V,) sum of what votes on pairs of the same prompt and group that were drawn before were off: (V,) `residuals`.

    Of pairs none of which is drawn twice, a vote stands for those that were left, and earlier votes for their own.
    """
    off: dict[Draw, list[float]] = {}
    for vote, residual in zip(votes, residuals.tolist(), strict=True):
        off.setdefault(draw_of(vote), []).append(residual)
    sums, before = defaultdict[Draw, float](float), dict[Draw, float]()
    for draw, values in off.items():
        before[draw] = sums[draw[:2]]
        sums[draw[:2]] += sum(values) / len(values)
    return np.array([before[draw_of(vote)] for vote in votes])


def fold_coefficients(differences: Array, wins: Array, counted: Array) -> Array:
    """(FOLDS, d) coefficients, each from the votes that count for it: `counted` is (FOLDS, V)."""
    return fitted(differences[None], wins[None], counted.astype(np.float64))


def mean_prediction(differences: Array, coefficients: Array) -> Array:
    """Over all pairs (..., N, d) and both orders, (...,)."""
    order = np.eye(differences.shape[-1])[-1]
    both = [predicted(differences + side * order, coefficients).mean(axis=-1) for side in (1.0, -1.0)]
    return np.asarray(np.mean(both, axis=0))
