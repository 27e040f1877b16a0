"""Where texts lie on the atlas: a sample of them by t-SNE, every other about the one of these that is most like it.

t-SNE (van der Maaten and Hinton 2008) puts a text beside those that are like it, and is free in all else: near is
alike, far says only "not alike", and how wide a crowd is says how many it holds. To find what was said that is what is
wanted; of how wide an arm is the other maps tell. Its cost grows faster than the number of texts, so that at most
`LANDMARKS` are placed by it. About each lie those that are most like it, by the two principal components of just these;
a mean of several landmarks' places would put a text where none of them is. All of this is linear in texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.analysis.atlas.said import Places
from evalkit.analysis.embedding_map import find_plane
from evalkit.metrics.embeddings.encoder import Floats
from evalkit.plumbing.progress import Listener

LANDMARKS = 2000
PERPLEXITY = 30
"""About how many others a text is drawn to; the method's usual value."""
ROUNDS = 500
CELL = 0.6
"""How far from its landmark a text may lie, as a share of the way to the next landmark."""
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
    """Places of (U, d) rows, the same for the same rows; tells of each row."""
    landmarks = evenly(len(rows), LANDMARKS)
    home = np.empty(len(rows), dtype=np.int64)
    half_squares = np.einsum("kd,kd->k", rows[landmarks], rows[landmarks]) / 2
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        home[block] = (half_squares - rows[block] @ rows[landmarks].T).argmin(axis=1)
        tell.advance(len(rows[block]))
    home[landmarks] = np.arange(len(landmarks))
    fixed = _by_neighbours(rows[landmarks])
    return Layout(_about(rows, fixed, home), landmarks, home)


def evenly(size: int, most: int) -> Places:
    """Indices, from 0, of at most so many of `size`, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(np.int64))


def squared_distances(rows: Floats, others: Floats) -> Floats:
    """(k, m) of (k, d) and (m, d) rows; rounding leaves none below 0."""
    own, other = (np.einsum("kd,kd->k", each, each) for each in (rows, others))
    return np.maximum(own[:, None] + other[None, :] - 2 * rows @ others.T, 0)


def nearest(distances: Floats, k: int) -> Places:
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
    between = squared_distances(fixed, fixed)
    np.fill_diagonal(between, np.inf)
    radii = CELL * np.sqrt(between.min(axis=1))
    points = fixed[home]
    for landmark, own in enumerate(members(home, len(fixed))):
        if len(own) > 2:
            some = own[evenly(len(own), MOST_FOR_PLANE)]
            away = find_plane(rows[some]).project(rows[own])
            widest = np.abs(away).max()
            points[own] += radii[landmark] * away / widest if widest else 0
    return points
