"""N-grams as integers: equal codes for equal n-grams, and the text that each is in. No string is built or compared.

All texts of a group are coded together, so that counting n-grams is sorting integers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import MetricError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_LARGEST = 2**62
"""Codes times texts stay below it, so that a code and its text fit into one int64 to be sorted."""


def counts_of(words: Sequence[Sequence[str]], n: int) -> Ints:
    """How often each distinct n-gram of the pooled texts occurs."""
    return np.unique(last_order(words, n)[0], return_counts=True)[1].astype(np.int64)


def last_order(words: Sequence[Sequence[str]], n: int) -> tuple[Ints, Ints]:
    """A code per n-gram of order n alone, and the text that it is in. Raises `MetricError`."""
    *_, last = ngrams(words, n)
    return last


def ngrams(words: Sequence[Sequence[str]], n: int) -> Iterator[tuple[Ints, Ints]]:
    """For each order 1..n: a code per n-gram (equal exactly when the n-grams are) and the text that it is in."""
    if n < 1:
        raise MetricError(f"n is {n}; an n-gram has 1 word or more")
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    first = np.fromiter(map(ids.__getitem__, chain.from_iterable(words)), dtype=np.int64)
    owner_of = np.repeat(np.arange(len(words)), [len(text) for text in words])
    codes, starts, bound = first, np.arange(len(first)), len(ids)
    yield codes, owner_of
    for order in range(1, n):
        starts_on = starts[: np.searchsorted(starts, len(first) - order)]
        goes_on = owner_of[starts_on + order] == owner_of[starts_on]
        starts, codes = starts_on[goes_on], codes[: len(goes_on)][goes_on]
        codes, bound = codes * len(ids) + first[starts + order], bound * len(ids)
        # Whoever gets the codes multiplies them by the number of texts, and the next order by that of words.
        if bound * max(len(ids), len(words)) >= _LARGEST:
            distinct, codes = np.unique(codes, return_inverse=True)
            bound = len(distinct)
        yield codes, owner_of[starts]


def clipped_matches(codes: Ints, owners: Ints, k: int) -> Floats:
    """For each text, its n-grams that occur in another text, each at most as often as in the text that has it most.

    The largest count elsewhere is the largest of all, or the second largest for the text that holds the largest.
    """
    pairs, own = np.unique(codes * k + owners, return_counts=True)
    if not len(pairs):
        return np.zeros(k)
    gram, owner = np.divmod(pairs, k)
    is_first = np.concatenate([[True], gram[1:] != gram[:-1]])
    firsts, which = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    largest = np.maximum.reduceat(own, firsts)[which]
    holds = own == largest
    second = np.maximum.reduceat(np.where(holds, 0, own), firsts)[which]
    alone = holds & (np.add.reduceat(holds, firsts, dtype=np.int64)[which] == 1)
    return np.bincount(owner, np.minimum(own, np.where(alone, second, largest)), minlength=k).astype(np.float64)
