"""MAUVE: how near a model's texts are to people's, by where both lie among clusters of embeddings.

It is a figure of a whole arm, not of one prompt: the two sets of texts are cut into clusters together, and what is
compared is how often each set falls into each cluster. Tested against the authors' package (mauve-text).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.declaration import arm_metric
from evalkit.plumbing.arrays import Array
from evalkit.records import Group

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


@arm_metric(
    name="mauve",
    unit="area",
    better="higher",
    side="match",
    family="people's texts",
    plain="nearness to human texts",
    bounds=(0, 1),
    needs={"embeddings", "reference_embeddings"},
    version="1.0",
    cites="Pillutla et al. 2021",
)
def mauve(groups: Sequence[Group]) -> Array:
    """MAUVE: how near an arm's completions are to the prompts' human texts, by where both lie among clusters.

    Both sets are cut together by k-means into a tenth as many clusters as the smaller one has texts, after rows are
    made length 1 and principal components that hold 90 % of the variance are taken. With the two sets' shares p and q
    of the clusters, and r between them on the straight line, the curve is (exp(-c KL(q || r)), exp(-c KL(p || r))), and
    the figure the area under it, a mean over five clusterings. Prompts without references do not count. One
    influence value a prompt: the figure, plus how much it would change without the prompt (a delete-one jackknife that
    takes the clusters as given).

    Range: 0 (nothing in common) to 1 (the same shares of every cluster), higher is nearer to people.

    Bias: below 1 even for two sets of one distribution, by chance in the shares, and the more so the fewer texts;
    compare at equal n only. It depends on the encoder too, so do not compare with published values, which use GPT-2's
    states.

    Cost: a k-means of n + m rows for each seed, seconds to a minute.

    Undefined: below 2 000 texts on either side, where noise covers real differences: NaN.
    """
    with_both = [row for row, group in enumerate(groups) if group.completions and _has_references(group)]
    values = np.full(len(groups), np.nan)
    model = [_embeddings(groups[row].embeddings) for row in with_both]
    human = [_embeddings(groups[row].reference_embeddings) for row in with_both]
    if len(with_both) > 1 and min(sum(map(len, model)), sum(map(len, human))) >= LEAST:
        values[with_both] = np.mean([_influence(model, human, seed) for seed in SEEDS], axis=0)
    return values


def area_between(model: Floats, human: Floats, seed: int) -> float:
    """MAUVE of two sets of embeddings, (n, d) and (m, d), by one clustering."""
    p, q = (counts.sum(axis=0) for counts in _counts([model], [human], seed))
    return area(p / p.sum(), q / q.sum())


def _influence(model: Sequence[Floats], human: Sequence[Floats], seed: int) -> Array:
    """(P,) theta + (P - 1) (mean of theta without one - theta without this one): the mean is theta exactly."""
    of_model, of_human = _counts(model, human, seed)
    theta = _area_of(of_model.sum(axis=0), of_human.sum(axis=0))
    others = zip(of_model.sum(axis=0) - of_model, of_human.sum(axis=0) - of_human, strict=True)
    without = np.array([_area_of(*counts) for counts in others])
    return np.asarray(theta + (len(without) - 1) * (without.mean() - without), dtype=np.float64)


def _counts(model: Sequence[Floats], human: Sequence[Floats], seed: int) -> tuple[Array, Array]:
    """How many of each prompt's texts are in each of c clusters, (P, c) twice; c: a tenth of the smaller set's size."""
    from sklearn.cluster import KMeans

    sets = [*model, *human]
    clusters = max(2, round(min(sum(map(len, model)), sum(map(len, human))) / 10))
    labels = KMeans(clusters, n_init=1, random_state=seed).fit_predict(_components(np.concatenate(sets)))
    parts = np.split(labels, np.cumsum([len(rows) for rows in sets])[:-1])
    counts = np.array([np.bincount(part, minlength=clusters) for part in parts], dtype=np.float64)
    return counts[: len(model)], counts[len(model) :]


def _area_of(p: Array, q: Array) -> float:
    return area(p / p.sum(), q / q.sum())


def _has_references(group: Group) -> bool:
    return group.reference_embeddings is not None and len(group.reference_embeddings) > 0


def _embeddings(embeddings: np.ndarray | None) -> Floats:
    assert embeddings is not None, "run.py embeds for metrics that need embeddings"
    return embeddings


def area(p: Array, q: Array) -> float:
    """Area under the divergence curve of two distributions over c outcomes, (c,) each: 0 to 1, which is agreement."""
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


def _divergences(p: Array, others: Array) -> Array:
    """(POINTS,) KL(p || q) for each row q of `others`, (POINTS, c)."""
    given = p > 0
    divergences: Array = (p[given] * np.log(p[given] / others[:, given])).sum(axis=1)
    return divergences
