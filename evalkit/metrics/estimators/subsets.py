"""What k of n completions would have shown: exact means over all subsets of size k, without drawing any.

Every function takes one prompt's n completions and returns one float64 per k in `ks`. Each is the mean over all C(n, k)
subsets (hypergeometric draws, without replacement), so it is unbiased for k fresh draws of the same distribution. All
of them are sums of products of ratios below 1: no factorial, no logarithm, nothing to overflow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import MetricError
from evalkit.plumbing.arrays import Array

Ints = NDArray[np.int64]


def expected_classes(sizes: Sequence[int], ks: Sequence[int]) -> Array:
    """Expected number of classes seen among k of the n = sum of `sizes` completions, for each k (rarefaction).

    `sizes`: completions in each class. Sum over classes of 1 - C(n - size, k) / C(n, k) (Hurlbert 1971). From 1 at
    k = 1 to the number of classes at k = n, never falling. O(largest size x len(ks)). Raises `MetricError` on a k
    outside 1..n.
    """
    return expected_kinds(sizes, int(np.sum(sizes)), ks)


def expected_kinds(holders: Sequence[int], total: int, ks: Sequence[int]) -> Array:
    """Expected number of kinds seen among k of `total` completions, where a completion may hold many kinds or none.

    `holders`: for each kind (an n-gram, say) how many completions hold it, 1..`total`. Raises as `expected_classes`.
    """
    _check(ks, total)
    distinct, times = np.unique(np.asarray(holders, dtype=np.int64), return_counts=True)
    return np.array([times @ _chance_seen(distinct, total, k) for k in ks], dtype=np.float64)


def pass_at(correct: int, total: int, ks: Sequence[int]) -> Array:
    """Chance that at least one of k of the `total` completions is right, for each k (Chen et al. 2021).

    `correct` of them are. 1 - C(n - c, k) / C(n, k): in [0, 1], never falling in k, unbiased for pass@k. A k above
    `total` cannot be estimated so, and is a `MetricError`, never 1.
    """
    return expected_kinds([correct], total, ks)


def best_of(values: Array, ks: Sequence[int]) -> Array:
    """Expected largest value among k of the n completions, for each k.

    `values`: (n,), in any order and unit. Sum over ranks i of r_(i) C(i - 1, k - 1) / C(n, k), with r_(1) the smallest:
    the mean at k = 1, the largest at k = n. NaN for every k when one value is NaN. O(n x len(ks)). Raises `MetricError`
    on a k outside 1..n.
    """
    _check(ks, len(values))
    falling = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    if np.isnan(falling).any():
        return np.full(len(ks), np.nan)
    expected = np.array([largest_shares(len(falling), k) @ falling for k in ks], dtype=np.float64)
    return np.clip(expected, falling[-1], falling[0])  # shares add up to 1 but for rounding


def _chance_seen(holders: Ints, total: int, k: int) -> Array:
    """Chance that k of `total` hold one of so many: 1 - product over i < holders of (total - k - i) / (total - i)."""
    i = np.arange(int(holders.max(initial=0)))
    missed = np.concatenate([[1.0], np.cumprod(np.maximum(total - k - i, 0) / (total - i))])
    return np.asarray(1 - missed[holders], dtype=np.float64)


def largest_shares(total: int, k: int) -> Array:
    """C(i - 1, k - 1) / C(n, k) for i = n..1: in what share of the subsets the largest, the second, ... is largest."""
    i = np.arange(total, 1, -1)
    return np.asarray(k / total * np.concatenate([[1.0], np.cumprod(np.maximum(i - k, 0) / (i - 1))]), np.float64)


def _check(ks: Sequence[int], total: int) -> None:
    for k in ks:
        if not 1 <= k <= total:
            raise MetricError(
                f"k is {k}; of {total} completions it must be 1 to {total}: draw more, or ask a smaller k"
            )
