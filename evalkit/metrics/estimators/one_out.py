"""Lexical measures of a group without each of its texts in turn: (k,) in about the time of one figure.

Counts without a text are the counts less its own, so whatever is a formula of sums over n-grams needs no second count.
Each function gives what its metric would give, NaN where that would.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evalkit.metrics.estimators.bleu import self_bleu_without_each
from evalkit.metrics.estimators.entropy_sums import SUMS, seen
from evalkit.metrics.estimators.ngrams import Ints, NgramCounts, count_ngrams
from evalkit.plumbing.arrays import Array
from evalkit.records import Group


def _sums(ngrams: NgramCounts, term: Callable[[Ints], Array]) -> Array:
    """(k,) the sum of `term` of the counts over n-grams without each text; `term` of 0 must be 0."""
    terms, totals = term(ngrams.totals), ngrams.totals[ngrams.kind]
    taken = terms[ngrams.kind] - term(totals - ngrams.counts)
    return np.asarray(terms.sum() - np.bincount(ngrams.holder, taken, minlength=len(ngrams.lengths)), dtype=np.float64)


def _draws(ngrams: NgramCounts) -> Array:
    """(k,) n-grams without each text."""
    return np.asarray(ngrams.lengths.sum() - ngrams.lengths, dtype=np.float64)


def distinct_without_each(group: Group, *, n: int) -> Array:
    """(k,) of `distinct_n`."""
    ngrams = count_ngrams(group.words, n)
    draws = _draws(ngrams)
    return _where(draws > 0, _sums(ngrams, seen) / np.maximum(draws, 1))


def ead_without_each(group: Group, *, n: int, vocabulary: int) -> Array:
    """(k,) of `ead_n`."""
    ngrams = count_ngrams(group.words, n)
    draws = _draws(ngrams)
    expected = -vocabulary * np.expm1(np.maximum(draws, 1) * np.log1p(-1 / vocabulary))
    return _where(draws > 0, _sums(ngrams, seen) / expected)


def entropy_without_each(group: Group, *, n: int, correction: str) -> Array:
    """(k,) of `ngram_entropy`."""
    ngrams, estimator = count_ngrams(group.words, n), SUMS[correction]
    draws, sums = _draws(ngrams), [_sums(ngrams, term) for term in estimator.terms]
    return _where(draws > 0, np.maximum(0.0, estimator.formula(np.maximum(draws, 1), *sums)))


def simpson_without_each(group: Group, *, n: int) -> Array:
    """(k,) of `simpson_ngrams`."""
    ngrams = count_ngrams(group.words, n)
    within = np.bincount(ngrams.holder, _squares(ngrams.counts), minlength=len(ngrams.lengths))
    lengths = _squares(ngrams.lengths)
    across = _draws(ngrams) ** 2 - (lengths.sum() - lengths)
    equal = _sums(ngrams, _squares) - (within.sum() - within)
    return _where(across > 0, 1 - equal / np.maximum(across, 1))


def bleu_without_each(group: Group, *, n: int, smooth: str) -> Array:
    """(k,) of `self_bleu`."""
    k = len(group.words)
    return self_bleu_without_each(group.words, n, smooth) if k > 2 else np.full(k, np.nan)


def length_without_each(group: Group) -> Array:
    """(k,) of `length`."""
    lengths = np.array([len(text) for text in group.words], dtype=np.float64)
    others = len(lengths) - 1
    return (lengths.sum() - lengths) / others if others > 0 else np.full(len(lengths), np.nan)


def _squares(counts: Ints) -> Array:
    return counts.astype(np.float64) ** 2


def _where(defined: np.ndarray, values: Array) -> Array:
    return np.asarray(np.where(defined, values, np.nan), dtype=np.float64)
