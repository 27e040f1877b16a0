"""Where texts lie on the atlas: a sample of them by t-SNE, every other about the one of these that is most like it.

t-SNE (van der Maaten and Hinton 2008) puts a text beside those that are like it, and is free in all else: near is
alike, far says only "not alike", and how wide a crowd is says how many it holds. To find what was said that is what is
wanted; of how wide an arm is the other maps tell. Its cost grows faster than the number of texts, so that at most
`LANDMARKS` are placed by it. About each lie those that are most like it, by the two principal components of just these;
a mean of several landmarks' places would put a text where none of them is. All of this is linear in texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.atlas.said import Places
from evalkit.analysis.embedding_map import find_plane
from evalkit.metrics.embeddings.encoder import Floats
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener

Real = TypeVar("Real", np.float32, np.float64)
LANDMARKS = 2000
PERPLEXITY = 30
"""About how many others a text is drawn to; the method's usual value."""
ROUNDS = 500
CELL = 0.6
"""How far from its landmark a text may lie along an axis, as a share of the way to the landmark that is ..."""
NEXT = 3
"""... third nearest to it: the nearest may be nearly the same text."""
MOST_FOR_PLANE = 64
"""Texts of a cell that its principal components are found from."""
BLOCK = 4096
"""Texts whose distances to all landmarks are in memory at a time."""


@dataclass(frozen=True)
class Layout:
    """Where U texts lie, and which S of them the others lie about."""

    points: Floats
    """(U, 2)"""
    landmarks: Places
    """(S,) which texts."""
    home: Places
    """(U,) the landmark that each is most like, by its place among landmarks."""


def lay_out(rows: Floats, tell: Listener) -> Layout:
    """Places of (U, d) rows, the same for the same rows.

    Tells of a stage for the landmarks, and of U of 3 U units of a stage that goes on with the neighbours of texts.
    """
    landmarks = evenly(len(rows), LANDMARKS)
    tell.stage("place landmarks", 1)
    fixed = _by_neighbours(rows[landmarks])
    tell.advance(1)
    tell.stage("draw the map", 3 * len(rows))
    home = np.empty(len(rows), dtype=np.int64)
    half_squares = np.einsum("kd,kd->k", rows[landmarks], rows[landmarks]) / 2
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        home[block] = (half_squares - rows[block] @ rows[landmarks].T).argmin(axis=1)
        tell.advance(len(rows[block]))
    home[landmarks] = np.arange(len(landmarks))
    points = _about(rows, fixed, home)
    points[landmarks] = fixed
    return Layout(points, landmarks, home)


def evenly(size: int, most: int) -> Places:
    """Indices, from 0, of at most so many of `size`, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(np.int64))


def squared_distances(rows: NDArray[Real], others: NDArray[Real]) -> NDArray[Real]:
    """(k, m) of (k, d) and (m, d) rows; rounding leaves none below 0."""
    own, other = (np.einsum("kd,kd->k", each, each) for each in (rows, others))
    distances: NDArray[Real] = np.maximum(own[:, None] + other[None, :] - 2 * rows @ others.T, 0)
    return distances


def nearest(distances: NDArray[Real], k: int) -> Places:
    """(n, k) columns of the k least of each row of (n, m), k <= m, the least first."""
    some = np.argpartition(distances, k - 1, axis=1)[:, :k]
    order = np.argsort(np.take_along_axis(distances, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def members(home: Places, count: int) -> list[Places]:
    """Of each of `count` homes, who has it."""
    order = np.argsort(home, kind="stable")
    return np.split(order, np.searchsorted(home[order], np.arange(1, count)))


def _by_neighbours(rows: Floats) -> Floats:
    """(S, 2) by t-SNE, on one processor: shared out, sums and so places would depend on how many there are."""
    from sklearn.manifold import TSNE

    method = TSNE(
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
        init=_flat(rows),
        max_iter=ROUNDS,
        n_jobs=1,
        random_state=0,
    )
    return np.asarray(method.fit_transform(rows), dtype=np.float32)


def _flat(rows: Floats) -> Floats:
    """Principal components, as small as t-SNE wants its start; a little apart where all rows are one."""
    start = find_plane(rows).project(rows)
    size = start[:, 0].std()
    apart = np.random.default_rng(0).normal(size=start.shape)
    return np.asarray(1e-4 * (start / size if size else apart), dtype=np.float32)


def _about(rows: Floats, fixed: Floats, home: Places) -> Floats:
    """(U, 2) places, each in the cell of its home."""
    radii = CELL * _to_next(fixed.astype(np.float64))  # places that lie close together differ in late digits
    points = fixed[home]
    for landmark, own in enumerate(members(home, len(fixed))):
        if len(own) > 2:
            some = own[evenly(len(own), MOST_FOR_PLANE)]
            away = find_plane(rows[some]).project(rows[own])
            widest = np.abs(away).max()
            points[own] += radii[landmark] * away / widest if widest else 0
    return points


def _to_next(fixed: Array) -> Array:
    """(S,) how far each landmark's `NEXT`-nearest is; 0 where there is no other."""
    rank = min(NEXT, len(fixed) - 1)  # 0 is itself
    return np.asarray(np.sqrt(np.partition(squared_distances(fixed, fixed), rank, axis=1)[:, rank]))
