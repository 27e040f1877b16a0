"""MAUVE: how near a model's texts are to people's, by where both lie among clusters of embeddings.

It is a figure of a whole arm, not of one prompt: the two sets of texts are cut into clusters together, and what is
compared is how often each set falls into each cluster. Tested against the authors' package (mauve-text).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalkit.stats import Array

Floats = NDArray[np.float32]
LEAST = 2000
"""Texts a side below which the figure says little: at 100 a real shift scores within the noise of none."""
SEEDS = (0, 1, 2, 3, 4)
"""Clusterings whose mean is reported: a single one moves the figure by a hundredth or more."""
SCALE = 5.0
"""The paper's c: how fast a divergence counts as far."""
EXPLAINED = 0.9
"""Share of the variance that the principal components before clustering keep."""
POINTS = 25
"""Mixture weights at which the divergence curve is known."""


def mauve(model: Floats, human: Floats, seeds: tuple[int, ...] = SEEDS) -> float:
    """MAUVE of two sets of embeddings, [n, d] and [m, d]: the area under their divergence curve (Pillutla et al. 2021).

    Both sets are cut together by k-means into a tenth as many clusters as the smaller one has texts, after rows are
    made length 1 and principal components that hold 90 % of the variance are taken. With the two sets' shares p and q
    of the clusters, and r between them on the straight line, the curve is (exp(-c KL(q || r)), exp(-c KL(p || r))).

    Range: 0 (nothing in common) to 1 (the same shares of every cluster), higher is nearer to people.

    Bias: below 1 even for two sets of one law, by chance in the shares, and the more so the fewer texts; compare at
    equal n only. It depends on the encoder too, so do not compare with published values, which use GPT-2's states.

    Cost: a k-means of n + m rows for each seed, seconds to a minute.

    Undefined: below `LEAST` texts on either side, where noise covers real differences: NaN.
    """
    if min(len(model), len(human)) < LEAST:
        return float("nan")
    shares = [cluster_shares(model, human, seed) for seed in seeds]
    return float(np.mean([area(p, q) for p, q in shares]))


def cluster_shares(model: Floats, human: Floats, seed: int) -> tuple[Array, Array]:
    """Shares of each set in each cluster, [k] and [k], k a tenth of the smaller set's size."""
    from sklearn.cluster import KMeans

    clusters = max(2, round(min(len(model), len(human)) / 10))
    rows = _components(np.concatenate([model, human]))
    labels = KMeans(clusters, n_init=1, random_state=seed).fit_predict(rows)
    p = np.bincount(labels[: len(model)], minlength=clusters) / len(model)
    q = np.bincount(labels[len(model) :], minlength=clusters) / len(human)
    return p, q


def area(p: Array, q: Array) -> float:
    """Area under the divergence curve of two laws over the same outcomes, [k] and [k]: 0 to 1, which is agreement."""
    weights = np.linspace(1e-6, 1 - 1e-6, POINTS)[:, None]
    between = weights * p + (1 - weights) * q
    x = np.exp(-SCALE * np.array([0.0, *_divergences(q, between), np.inf]))
    y = np.exp(-SCALE * np.array([np.inf, *_divergences(p, between), 0.0]))
    return float(np.trapezoid(y[::-1], x[::-1]))


def _components(rows: Floats) -> Floats:
    from sklearn.decomposition import PCA

    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    reduced: Floats = PCA(EXPLAINED, svd_solver="full").fit_transform(unit).astype(np.float32)
    return reduced


def _divergences(law: Array, others: Array) -> Array:
    """KL(law || other) of each row of `others`, [POINTS, k]."""
    given = law > 0
    found: Array = (law[given] * np.log(law[given] / others[:, given])).sum(axis=1)
    return found
