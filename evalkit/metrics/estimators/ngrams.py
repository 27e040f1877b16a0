"""N-grams as integers: equal codes for equal n-grams, and the text that each is in. No string is built or compared.

All texts of a group are coded together, so that counting n-grams is sorting integers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import MetricError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_LARGEST = 2**62
"""Codes times texts stay below it, so that a code and its text fit into one int64 to be sorted."""


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """Which of k texts holds which n-gram of one order, and how often; h pairs by n-gram, then by text."""

    kind: Ints
    """(h,) the n-gram, numbered from 0, ..."""
    holder: Ints
    """(h,) the text that holds it, ..."""
    counts: Ints
    """(h,) and how often."""
    firsts: Ints
    """(kinds,) where each n-gram begins."""
    lengths: Ints
    """(k,) n-grams of each text."""

    @property
    def holders(self) -> Ints:
        """(kinds,) how many texts hold each n-gram."""
        return _runs(self.firsts, len(self.kind))

    @property
    def totals(self) -> Ints:
        """(kinds,) how often each n-gram occurs in all texts together."""
        return np.add.reduceat(self.counts, self.firsts) if len(self.firsts) else self.firsts


def count_ngrams(words: Sequence[Sequence[str]], n: int) -> NgramCounts:
    """The n-grams of order n alone. Raises `MetricError`."""
    if n < 1:
        raise MetricError(f"n is {n}; an n-gram has 1 word or more")
    return _coded(tuple(map(tuple, words))).count(n)


@lru_cache(maxsize=1)
def _coded(words: tuple[tuple[str, ...], ...]) -> _Coded:
    """Of the texts last asked for: every metric of one group counts the same n-grams."""
    return _Coded(words)


class _Coded:
    """The n-grams of some texts, each order counted when it is asked for."""

    def __init__(self, words: Sequence[Sequence[str]]) -> None:
        self._texts = len(words)
        self._orders = all_orders(words)
        self._counts: list[NgramCounts] = []

    def count(self, n: int) -> NgramCounts:
        while len(self._counts) < n:
            self._counts.append(_count(*next(self._orders), self._texts))
        return self._counts[n - 1]


def _count(codes: Ints, owners: Ints, k: int) -> NgramCounts:
    pairs = codes * k + owners
    pairs.sort()
    starts = _changes(pairs)
    gram, holder = np.divmod(pairs[starts], max(k, 1))
    firsts = _changes(gram)
    kind = np.zeros(len(gram), dtype=np.int64)
    kind[firsts[1:]] = 1
    return NgramCounts(kind.cumsum(), holder, _runs(starts, len(pairs)), firsts, np.bincount(owners, minlength=k))


def _changes(ordered: Ints) -> Ints:
    """Where a run of equal numbers begins."""
    begins = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins.nonzero()[0]


def _runs(starts: Ints, end: int) -> Ints:
    """How long each run is."""
    lengths = np.empty_like(starts)
    lengths[:-1] = starts[1:] - starts[:-1]
    lengths[-1:] = end - starts[-1:]
    return lengths


def all_orders(words: Sequence[Sequence[str]]) -> Iterator[tuple[Ints, Ints]]:
    """For each order from 1 on: a code per n-gram (equal exactly when the n-grams are) and the text that it is in."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    first = np.fromiter(map(ids.__getitem__, chain.from_iterable(words)), dtype=np.int64)
    owner_of = np.repeat(np.arange(len(words)), [len(text) for text in words])
    codes, starts, bound = first, np.arange(len(first)), len(ids)
    yield codes, owner_of
    for order in count(1):
        starts_on = starts[: np.searchsorted(starts, len(first) - order)]
        goes_on = owner_of[starts_on + order] == owner_of[starts_on]
        starts, codes = starts_on[goes_on], codes[: len(goes_on)][goes_on]
        codes, bound = codes * len(ids) + first[starts + order], bound * len(ids)
        # Whoever gets the codes multiplies them by the number of texts, and the next order by that of words.
        if bound * max(len(ids), len(words)) >= _LARGEST:
            distinct, codes = np.unique(codes, return_inverse=True)
            bound = len(distinct)
        yield codes, owner_of[starts]


def clipped_matches(ngrams: NgramCounts) -> Floats:
    """For each text, its n-grams that occur in another text, each at most as often as in the text that has it most.

    The largest count elsewhere is the largest of all, or the second largest for the text that holds the largest.
    """
    counts, firsts, kind, k = ngrams.counts, ngrams.firsts, ngrams.kind, len(ngrams.lengths)
    if not len(counts):
        return np.zeros(k)
    largest = np.maximum.reduceat(counts, firsts)[kind]
    holds = counts == largest
    second = np.maximum.reduceat(np.where(holds, 0, counts), firsts)[kind]
    alone = holds & (np.add.reduceat(holds, firsts, dtype=np.int64)[kind] == 1)
    matches = np.minimum(counts, np.where(alone, second, largest))
    return np.bincount(ngrams.holder, matches, minlength=k).astype(np.float64)
