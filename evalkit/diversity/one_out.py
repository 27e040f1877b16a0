"""Lexical measures of a group without each of its texts in turn: (k,) in about the time of one figure.

Counts without a text are the counts less its own, so whatever is a formula of sums over n-grams needs no second count.
Each function gives what its metric would give, NaN where that would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.diversity.bleu import self_bleu_without_each
from evalkit.diversity.entropy_sums import SUMS, seen
from evalkit.diversity.ngrams import Ints, last_order
from evalkit.records import Group
from evalkit.stats import Array


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each n-gram occurs, in all k texts and in each that holds it."""

    everywhere: Ints
    """(kinds,)."""
    kind: Ints
    """(h,) which n-gram it is that a text holds, ..."""
    holder: Ints
    """(h,) which text holds it, ..."""
    own: Ints
    """(h,) and how often."""
    lengths: Ints
    """(k,) n-grams in each text."""

    def without_each(self, term: Callable[[Ints], Array]) -> Array:
        """(k,) the sum of `term` of the counts over n-grams without each text; `term` of 0 must be 0."""
        terms = term(self.everywhere)
        every = self.everywhere[self.kind]
        taken = terms[self.kind] - term(every - self.own)
        return np.asarray(terms.sum() - np.bincount(self.holder, taken, minlength=len(self.lengths)), dtype=np.float64)

    @property
    def draws(self) -> Array:
        """(k,) n-grams without each text."""
        return np.asarray(self.lengths.sum() - self.lengths, dtype=np.float64)


def count(words: Sequence[Sequence[str]], n: int) -> Counts:
    """The n-grams of order n alone. Raises `MetricError`."""
    codes, owners = last_order(words, n)
    k = len(words)
    pairs, own = np.unique(codes * k + owners, return_counts=True)
    gram, holder = np.divmod(pairs, k)
    kind = np.cumsum(np.append(False, gram[1:] != gram[:-1])[: len(gram)])
    everywhere = np.bincount(kind, own).astype(np.int64)
    return Counts(everywhere, kind, holder, own, np.bincount(owners, minlength=k).astype(np.int64))


def distinct_without_each(group: Group, *, n: int) -> Array:
    """Of `distinct_n`."""
    counts = count(group.words, n)
    return _where(counts.draws > 0, counts.without_each(seen) / np.maximum(counts.draws, 1))


def ead_without_each(group: Group, *, n: int, vocabulary: int) -> Array:
    """Of `ead_n`."""
    counts = count(group.words, n)
    expected = -vocabulary * np.expm1(np.maximum(counts.draws, 1) * np.log1p(-1 / vocabulary))
    return _where(counts.draws > 0, counts.without_each(seen) / expected)


def entropy_without_each(group: Group, *, n: int, correction: str) -> Array:
    """Of `ngram_entropy`."""
    counts, estimator = count(group.words, n), SUMS[correction]
    sums = [counts.without_each(term) for term in estimator.terms]
    return _where(counts.draws > 0, np.maximum(0.0, estimator.formula(np.maximum(counts.draws, 1), *sums)))


def simpson_without_each(group: Group, *, n: int) -> Array:
    """Of `simpson_ngrams`."""
    counts = count(group.words, n)
    own = np.bincount(counts.holder, _squares(counts.own), minlength=len(counts.lengths))
    lengths = _squares(counts.lengths)
    across = counts.draws**2 - (lengths.sum() - lengths)
    equal = counts.without_each(_squares) - (own.sum() - own)
    return _where(across > 0, 1 - equal / np.maximum(across, 1))


def bleu_without_each(group: Group, *, n: int, smooth: str) -> Array:
    """Of `self_bleu`."""
    k = len(group.words)
    return self_bleu_without_each(group.words, n, smooth) if k > 2 else np.full(k, np.nan)


def length_without_each(group: Group) -> Array:
    """Of `length`."""
    lengths = np.array([len(text) for text in group.words], dtype=np.float64)
    others = len(lengths) - 1
    return (lengths.sum() - lengths) / others if others > 0 else np.full(len(lengths), np.nan)


def _squares(counts: Ints) -> Array:
    return counts.astype(np.float64) ** 2


def _where(defined: np.ndarray, values: Array) -> Array:
    return np.asarray(np.where(defined, values, np.nan), dtype=np.float64)
