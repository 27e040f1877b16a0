"""How much more an arm says a word than its baseline, and how surely: arithmetic on counts, nothing else.

How much: the log-odds ratio with an informative Dirichlet prior of Monroe, Colaresi & Quinn (2008, "Fightin' Words",
Political Analysis 16(4), 372-403, doi:10.1093/pan/mpn018). How surely: their z takes every word for a draw of its own,
so that a word which one prompt asks for is the surest of all. Here the prompt is the draw. With y words of n under the
arm and y', n' under the baseline, a prompt says

    e = 2 (y n' - y' n) / (n + n'),

the numerator of Mantel & Haenszel (1959) with the prompt as stratum: how often the arm says the word more than the
baseline, had both written as many words there. z is sum(e) / sqrt(sum(e^2)), the score test of "the log-odds ratio is
0" with a variance that holds whatever goes on within a prompt. Where arms do not differ, the arm's and the baseline's
answers to a prompt could be exchanged, which turns the sign of e: given their sizes, z then has mean 0 and variance 1
exactly, and is nearly normal once no few prompts have most of it (Efron 1969, "Student's t-test under symmetry
conditions"). A word that moves on m prompts alone has |z| of at most sqrt(m), and p of at least 2^(1 - m), that of so
many equal signs.
"""

from __future__ import annotations

import numpy as np
from scipy import stats as scipy_stats

from evalkit.plumbing.arrays import Array

PRIOR = 500.0
"""Words that the prior weighs: as if each arm had said so many more, as often as both together say them."""
FALSE = 0.05
"""False discovery rate among the words that are said to have moved."""


def at_equal_lengths(own: Array, words: Array, other_words: Array) -> Array:
    """Counts (P, V) of an arm that wrote `words` (P,), as they were had both arms written equally many.

    As many as the harmonic mean of both; 0 where either wrote none. Nothing changes where they wrote equally many.
    """
    both = words + other_words
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where((words > 0) & (other_words > 0), 2 * other_words / both, 0.0)
    return np.asarray(own * scale[:, None], dtype=np.float64)


def words_at_equal_lengths(words: Array, other_words: Array) -> Array:
    """(P,) how many that is."""
    both = words + other_words
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, 2 * words * other_words / both, 0.0)


def log_odds_ratio(
    own: Array, other: Array, words: float, other_words: float, prior: Array, prior_words: float
) -> Array:
    """(V,) equation 16 of the paper: the log-odds ratio of counts `own` of `words` to `other` of `other_words`.

    `prior` (V,) is added to both counts, `prior_words` to both totals; 0 of both gives the plain ratio.
    """

    def log_odds(counts: Array, total: float) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(counts + prior) - np.log(total + prior_words - counts - prior))

    return log_odds(own, words) - log_odds(other, other_words)


def informative_prior(own: Array, other: Array, words: float, other_words: float, weight: float = PRIOR) -> Array:
    """(V,) how often `weight` words of both together hold each."""
    return np.asarray(weight * (own + other) / (words + other_words), dtype=np.float64)


def z_over_prompts(excess: Array, squares: Array) -> Array:
    """(V,) z of sum(e) and sum(e^2) over the units of resampling; 0 where nothing moved."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares > 0, excess / np.sqrt(squares), 0.0)


def p_of(z: Array, moved: Array) -> Array:
    """(V,) two-sided; `moved`: on how many units e is not 0."""
    least = np.exp2(1.0 - np.maximum(moved, 1))
    return np.asarray(np.minimum(1.0, np.maximum(2 * scipy_stats.norm.sf(np.abs(z)), least)), dtype=np.float64)


def discovery_rates(p: Array) -> Array:
    """q: the least false discovery rate at which each is a discovery (Benjamini & Hochberg 1995)."""
    return np.asarray(scipy_stats.false_discovery_control(p), dtype=np.float64) if len(p) else p
