"""Artificial Hivemind: the paper's mean pairwise similarities, as a plain double loop (its code cannot be had)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import numpy as np
from shared import WITH_VECTORS, keep, sets, timed, write


def main() -> None:
    for name in WITH_VECTORS:
        arms = [(arm, [rows.astype(np.float64) for rows in vectors]) for _, arm, _, vectors in sets(name)]
        for arm, vectors in arms:
            keep("within a model", name, arm, *timed(_within, vectors))
        for (one, first), (other, second) in combinations(arms, 2):
            keep("between models", name, f"{one} and {other}", *timed(_between, first, second))
    write()


def _within(vectors: list[Any]) -> list[float]:
    return [_mean_cosine(combinations(rows, 2)) for rows in vectors]


def _between(first: list[Any], second: list[Any]) -> list[float]:
    return [_mean_cosine(product(ours, theirs)) for ours, theirs in zip(first, second, strict=True)]


def _mean_cosine(pairs: Iterable[tuple[Any, Any]]) -> float:
    return float(np.mean([one @ other for one, other in pairs]))


if __name__ == "__main__":
    main()
