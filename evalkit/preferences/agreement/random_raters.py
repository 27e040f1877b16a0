"""Which raters answer at random: a mixture of kinds of raters, fitted to all of them. Pure functions of arrays.

A rater's answers are predicted from those of the others, each weighed by how often the two have agreed so far, and,
where they mostly disagree, turned round: opposite values predict as well as shared ones. Whoever answers at random is
predicted in half of the cases, whatever the side or the rhythm, for the sides are drawn; and contradicts themselves in
half of the pairs that they see twice. So raters are of three kinds:

- at random: hits ~ Binomial(n, 1/2), repeats alike ~ Binomial(m, 1/2),
- predicted: hits ~ Binomial(n, q), repeats ~ Binomial(m, s), q and s above 1/2, from Beta distributions of all raters,
- of their own mind: hits ~ Binomial(n, 1/2), repeats ~ Binomial(m, s): told from the first by repeats alone.

How many are of each kind, and how well raters are predicted, is integrated out on a grid (a uniform prior). Raters are
named in the order of their probability to answer at random, as long as the mean probability of the named to be honest
is at most `FALSE` (the Bayesian false discovery rate: Newton et al. 2004; Efron 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from scipy.special import logsumexp

from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.two_way import Index

FALSE = 0.05
"""Share of false names among those named."""
PRIOR_FELLOW, PRIOR_OTHER = (3.0, 2.0), (1.0, 1.0)
"""(agreed, disagreed) as which two raters of one group, or of two, begin: fellows more often agree."""
_SHARES = np.array([0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6])
"""Of raters who answer at random."""
_OWN_MIND = np.array([0.002, 0.01])
"""Of the others, those of their own mind."""
_MEANS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
_FIRST = np.array([6.0, 15.0, 40.0])
"""First parameter of the Beta distribution of 2q - 1 over raters: far above 1, so that hardly a rater who is not at
random is predicted as badly as one who is."""
_LEVELS = np.linspace(0.01, 0.99, 50)
"""Grid of 2q - 1 and of 2s - 1."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What [R] raters' answers say of how they come about."""

    trials: NDArray[np.int64]
    """Answers for one side that could be predicted."""
    hits: NDArray[np.int64]
    repeats: NDArray[np.int64]
    """Pairs decided twice."""
    alike: NDArray[np.int64]


def predicted(votes: NDArray[np.int8], groups: NDArray[np.int64], seed: int = 0) -> tuple[Index, Index]:
    """Number of answers of each rater that could be predicted, and that were rightly [R] each.

    `votes` [R, I]: +1 for a, -1 for b, 0 for neither or nothing; `groups` [R]. Answers are taken one after the other,
    in an order that is drawn, and predicted from what came before: at random, each is a fair coin whatever was before.
    """
    trials, hits = np.zeros(len(votes)), np.zeros(len(votes))
    generator = np.random.default_rng(seed)
    for rater in range(len(votes)):
        pairs = generator.permutation(np.flatnonzero(votes[rater]))
        others = np.delete(votes[:, pairs], rater, axis=0).astype(np.float64)
        fellows = np.delete(groups == groups[rater], rater)[:, None]
        same = others * votes[rater, pairs]
        agreed = np.cumsum(same > 0, axis=1) - (same > 0) + np.where(fellows, PRIOR_FELLOW[0], PRIOR_OTHER[0])
        parted = np.cumsum(same < 0, axis=1) - (same < 0) + np.where(fellows, PRIOR_FELLOW[1], PRIOR_OTHER[1])
        lean = (np.log(agreed / parted) * others).sum(axis=0)
        lean = np.where(np.abs(lean) < 1e-9, 0.0, lean)
        trials[rater] = np.count_nonzero(lean)
        hits[rater] = np.count_nonzero(lean * votes[rater, pairs] > 0)
    return trials.astype(np.int64), hits.astype(np.int64)


def probabilities(evidence: Evidence) -> Array:
    """[R] probability of each rater to answer at random, given all raters' evidence; in [0, 1]."""
    at_random, by_others, own_mind = _log_likelihoods(evidence)
    shares, owns = _SHARES[:, None, None, None], _OWN_MIND[None, :, None, None]
    # [share, own mind, Beta distribution, R]
    first = np.broadcast_to(
        np.log(shares) + at_random, (len(_SHARES), len(_OWN_MIND), by_others.shape[0], at_random.shape[0])
    )
    honest = np.log1p(-shares) + np.logaddexp(
        np.log1p(-owns) + by_others[None, None], np.log(owns) + own_mind[None, None, None]
    )
    mixed = np.logaddexp(first, honest)
    of_all = mixed.sum(axis=-1)
    weight: Array = np.asarray(np.exp(of_all - logsumexp(of_all)), np.float64)
    return np.asarray((weight[..., None] * np.exp(first - mixed)).sum(axis=(0, 1, 2)))


def named(probability: Array, false: float = FALSE) -> NDArray[np.bool_]:
    """[R] which raters are named, so that about a share `false` of the named is honest."""
    order = np.argsort(-probability, kind="stable")
    honest = np.cumsum(1 - probability[order]) / np.arange(1, len(order) + 1)
    chosen = np.zeros(len(probability), np.bool_)
    chosen[order[(honest <= false) & (probability[order] > 0.5)]] = True
    return chosen


def _log_likelihoods(evidence: Evidence) -> tuple[Array, Array, Array]:
    """Of the kinds: at random [R], predicted [kinds of raters, R], of their own mind [R]."""
    right = np.asarray(scipy_stats.binom.logpmf(evidence.hits, evidence.trials, 0.5), np.float64)
    twice = np.asarray(scipy_stats.binom.logpmf(evidence.alike, evidence.repeats, 0.5), np.float64)
    levels = (1 + _LEVELS[:, None]) / 2
    by_level = np.asarray(scipy_stats.binom.logpmf(evidence.hits, evidence.trials, levels), np.float64)
    betas = np.array([_beta(mean, first / mean) for mean in _MEANS for first in _FIRST])
    well = logsumexp(betas[:, :, None] + by_level[None], axis=1)
    by_repeat = scipy_stats.binom.logpmf(evidence.alike, evidence.repeats, levels)
    # How alike a person answers twice: anything above chance, more likely much above it.
    steady = logsumexp(_beta(2 / 3, 3.0)[:, None] + by_repeat, axis=0)
    # A mind of one's own is believed where it is clearly steady; without repeats nothing tells it from chance.
    minded = logsumexp(_beta(2 / 3, 9.0)[:, None] + by_repeat, axis=0)
    own = np.where(evidence.repeats > 0, right + minded, -np.inf)
    return right + twice, np.asarray(well + steady), own


def _beta(mean: float, strength: float) -> Array:
    """Log probabilities of `_LEVELS`."""
    density = scipy_stats.beta.logpdf(_LEVELS, mean * strength, (1 - mean) * strength)
    return np.asarray(density - logsumexp(density))
