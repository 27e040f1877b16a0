"""Artificial Hivemind: the paper's mean pairwise similarities, as a plain double loop (its code cannot be had)."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from shared import WITH_VECTORS, keep, sets, timed, write


def main() -> None:
    for name in WITH_VECTORS:
        arms = [(arm, [rows.astype(np.float64) for rows in vectors]) for _, arm, _, vectors in sets(name)]
        for arm, vectors in arms:
            means, seconds = timed(lambda: [_mean(combinations(rows, 2)) for rows in vectors])  # noqa: B023
            keep("within a model", name, arm, means, seconds)
        for (one, first), (other, second) in combinations(arms, 2):
            pairs = list(zip(first, second, strict=True))
            means, seconds = timed(lambda: [_mean(product(ours, theirs)) for ours, theirs in pairs])  # noqa: B023
            keep("between models", name, f"{one} and {other}", means, seconds)
    write()


def _mean(pairs) -> float:  # type: ignore[no-untyped-def]
    return float(np.mean([one @ other for one, other in pairs]))


if __name__ == "__main__":
    main()
