"""BLEU of every text with all the others as references, from counts of matches; and what it is without one of them.

A text that is taken away changes the matches of another in one case only: the two hold an n-gram more often than all
the rest do. So each n-gram ties one pair of texts at most, and leaving every text out in turn costs hardly more than
one figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.metrics.estimators.ngrams import Ints, NgramCounts, clipped_matches, count_ngrams
from evalkit.plumbing.arrays import Array

EPSILON = {"method1": 0.1, "none": 0.0}
"""Matches that an order without any is given; method1 of Chen & Cherry 2014 with nltk's epsilon."""
_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Ties:
    """Where one of two texts is missed by the other, (t,) each: `left_out` takes `matches` from `other`."""

    left_out: Ints
    other: Ints
    matches: Array


def self_bleus(words: Sequence[Sequence[str]], n: int, smooth: str) -> Array:
    """BLEU-n of each of k >= 2 texts with all the others as references, (k,)."""
    lengths = _lengths(words)
    matches = np.stack([clipped_matches(ngrams) for ngrams in _orders(words, n)])
    return _bleu(matches, lengths, closest_lengths(lengths), EPSILON[smooth])


def self_bleu_without_each(words: Sequence[Sequence[str]], n: int, smooth: str) -> Array:
    """Mean self-BLEU of the k - 1 >= 2 texts that are left without each of k, (k,)."""
    lengths = _lengths(words)
    k = len(lengths)
    orders = _orders(words, n)
    matches, tied = np.stack([clipped_matches(ngrams) for ngrams in orders]), [_ties(ngrams) for ngrams in orders]
    closest = closest_lengths(lengths)
    bleu = _bleu(matches, lengths, closest, EPSILON[smooth])
    beside, next_closest = _neighbours(lengths)
    touched = np.unique(np.concatenate([*(ties.left_out * k + ties.other for ties in tied), beside]))
    left_out, other = np.divmod(touched, k)
    less = [np.bincount(np.searchsorted(touched, ties.left_out * k + ties.other), ties.matches, minlength=len(touched))
            for ties in tied]  # fmt: skip
    references = closest[other]
    references[np.searchsorted(touched, beside)] = next_closest
    changed = _bleu(matches[:, other] - np.stack(less), lengths[other], references, EPSILON[smooth]) - bleu[other]
    return np.asarray((bleu.sum() - bleu + np.bincount(left_out, changed, minlength=k)) / (k - 1), dtype=np.float64)


def closest_lengths(lengths: Ints) -> Ints:
    """For each text, the length nearest to its own among the other texts; the shorter of two equally near."""
    order = np.argsort(lengths, kind="stable")
    ranked = lengths[order]
    closest = np.empty_like(lengths)
    closest[order] = _nearer(ranked, np.append(_NOBODY, ranked[:-1]), np.append(ranked[1:], _NOBODY))
    return closest


def _orders(words: Sequence[Sequence[str]], n: int) -> list[NgramCounts]:
    """Those of order 1 to n. Raises `MetricError`."""
    last = count_ngrams(words, n)
    return [*(count_ngrams(words, order) for order in range(1, n)), last]


def _lengths(words: Sequence[Sequence[str]]) -> Ints:
    return np.array([len(text) for text in words], dtype=np.int64)


def _bleu(matches: Array, lengths: Ints, closest: Ints, epsilon: float) -> Array:
    """(t,) for matches (n, t): the orders that a text has weigh equally."""
    order = np.arange(1, len(matches) + 1)[:, None]
    possible = lengths >= order
    shares = np.where(matches > 0, matches, epsilon) / np.maximum(lengths - order + 1, 1)
    with np.errstate(divide="ignore"):
        logs = np.where(possible, np.log(shares), 0.0).sum(axis=0)
    penalty = np.minimum(0.0, 1 - closest / np.maximum(lengths, 1))
    bleu = np.where(matches[0] > 0, np.exp(penalty + logs / np.maximum(possible.sum(axis=0), 1)), 0.0)
    return np.asarray(np.where(lengths == 0, closest == 0, bleu), dtype=np.float64)


def _nearer(lengths: Ints, below: Ints, above: Ints) -> Ints:
    """(k,) of the lengths below and above each, the nearer one, or the one that there is."""
    no_below, no_above = below == _NOBODY, above == _NOBODY
    return np.where(no_below | (~no_above & (above - lengths < lengths - below)), above, below)


def _neighbours(lengths: Ints) -> tuple[Ints, Ints]:
    """(left out * k + other, the other's closest length then), where the two are next to each other by length."""
    k = len(lengths)
    order = np.argsort(lengths, kind="stable")
    around = np.concatenate([[_NOBODY, _NOBODY], lengths[order], [_NOBODY, _NOBODY]])
    under, below, ranked, above, over = (around[start : start + k] for start in range(5))
    without_below, without_above = _nearer(ranked, under, above), _nearer(ranked, below, over)
    beside = np.concatenate([order[:-1] * k + order[1:], order[1:] * k + order[:-1]])
    return beside, np.concatenate([without_below[1:], without_above[:-1]])


def _ties(ngrams: NgramCounts) -> Ties:
    """Each n-gram that two texts hold more often than any third, both ways: how much more often."""
    falling = np.lexsort((-ngrams.counts, ngrams.kind))
    holder, counts = ngrams.holder[falling], ngrams.counts[falling]
    first, holders = ngrams.firsts[ngrams.holders >= 2], ngrams.holders[ngrams.holders >= 2]
    third = np.where(holders > 2, counts[np.minimum(first + 2, len(counts) - 1)], 0) if len(first) else holders
    more = (counts[first + 1] - third).astype(np.float64)
    most, second, more = holder[first[more > 0]], holder[first[more > 0] + 1], more[more > 0]
    return Ties(np.concatenate([most, second]), np.concatenate([second, most]), np.concatenate([more, more]))
