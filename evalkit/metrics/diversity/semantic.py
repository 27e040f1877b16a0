"""Diversity of meaning: how far apart the completions' sentence embeddings lie.

Rows of `Group.embeddings` have length 1, so that a dot product is a cosine. What counts as different is what the
encoder tells apart; its name is part of the signature. An empty completion has an embedding like any other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import MetricError
from evalkit.metrics.declaration import metric
from evalkit.plumbing.arrays import Array
from evalkit.records import Group


def _distance_without_each(group: Group) -> Array:
    """(k,) of `embedding_distance`: its value without each completion, from the sum of rows less each of them."""
    rows = unit_rows(group)
    k = len(rows)
    if k < 3:
        return np.full(k, np.nan)
    total = rows.sum(axis=0)
    squares = total @ total - 2 * rows @ total + np.einsum("kd,kd->k", rows, rows)
    return np.asarray(np.maximum(0.0, 1 - (squares - (k - 1)) / ((k - 1) * (k - 2))), dtype=np.float64)


@metric(
    name="embedding_distance",
    unit="1 - cosine",
    better="higher",
    side="diversity",
    family="meaning",
    plain="distance between answers in meaning",
    picture=3,
    bounds=(0, 2),
    needs={"embeddings"},
    version="1.0",
    cites="Tevet & Berant 2021",
    any_k=True,
    without_each=_distance_without_each,
)
def embedding_distance(group: Group) -> float:
    """Mean of 1 - cosine over all pairs of completions.

    Range: [0, 2], in practice [0, 1]; 0 when all are the same.

    Bias: none at any k (a U-statistic), so figures at different k compare.

    Cost: O(k d) through (|sum u|^2 - k) / (k (k - 1)), no k x k matrix.

    Undefined: below two completions.
    """
    rows = unit_rows(group)
    k = len(rows)
    if k < 2:
        return float("nan")
    total = rows.sum(axis=0)
    return max(0.0, 1 - (float(total @ total) - k) / (k * (k - 1)))


@metric(
    name="vendi",
    unit="effective number",
    better="higher",
    side="diversity",
    family="meaning",
    plain="effective number of different answers",
    picture=2,
    bounds=(1, "k"),
    least={"q": 0},
    needs={"embeddings"},
    version="1.0",
    cites="Friedman & Dieng 2023",
)
def vendi(group: Group, *, q: float = 1.0) -> float:
    """Vendi score: the effective number of distinct completions.

    exp of the order-q entropy of the eigenvalues of K / k, where K holds the cosines. `q` in [0, inf]: 1 is Shannon's
    entropy, below 1 rare directions weigh more, above 1 common ones.

    Range: [1, k]: 1 when all are the same, k when all are orthogonal.

    Bias: grows with k on i.i.d. texts: compare at equal k only.

    Cost: O(k d m + m^3) with m the smaller of k and d, whichever eigenproblem that is; one m x m matrix.

    Undefined: without completions.
    """
    if not q >= 0:
        raise MetricError(f"metric vendi: q is {q:g}; it must be 0 or more")
    rows = unit_rows(group)
    if not len(rows):
        return float("nan")
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    spectrum = np.linalg.eigvalsh(gram / len(rows))
    # Eigenvalues that are 0 come out as rounding noise, which q < 1 would count as directions.
    spectrum = spectrum[spectrum > spectrum[-1] * len(gram) * np.finfo(np.float64).eps]
    return math.exp(_renyi(spectrum / spectrum.sum(), q))


def _renyi(distribution: NDArray[np.float64], q: float) -> float:
    """Renyi's entropy of order q, nats."""
    if q == 1:
        return -float(distribution @ np.log(distribution))
    if math.isinf(q):
        return -math.log(distribution.max())
    return math.log(float((distribution**q).sum())) / (1 - q)


def unit_rows(group: Group) -> NDArray[np.float64]:
    """Embeddings in float64 with rows of length 1 to its precision, so that equal rows have cosine 1."""
    assert group.embeddings is not None, "run.py embeds for metrics that need embeddings"
    rows: NDArray[np.float64] = group.embeddings.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return rows
