"""Which texts are most like a text, looked for where they are most likely: in the lists nearest to its own, and among
the answers to its prompt. A list has the texts about some landmarks of the layout that are alike.

To look among all would take forty thousand million distances of 200 000 texts. How many of the true ones are found is
measured, and stands on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from evalkit.analysis.atlas.layout import Layout, evenly, members, nearest, squared_distances
from evalkit.analysis.atlas.said import Places
from evalkit.metrics.embeddings.encoder import Floats

NEIGHBOURS = 5
LISTED = 200
"""Texts in a list, about; they are looked at together."""
CANDIDATES = 2400
"""Texts among which neighbours are looked for in lists, about; in a run of no more it is all."""
MOST_CANDIDATES = 4000
"""Of more texts in the same places evenly chosen ones are looked at."""
BLOCK = 1000
"""Texts whose distances to all candidates are in memory at a time."""
NONE = -1


def nearest_texts(rows: Floats, layout: Layout, prompt: Places, advance: Callable[[int], None]) -> Places:
    """(U, `NEIGHBOURS`) other texts, the nearest first; `NONE` where there are no more.

    `prompt`: (U,) of each text, from 0. `advance` is told of each text twice.
    """
    found = np.full((len(rows), NEIGHBOURS), NONE, dtype=np.int64)
    far = np.full((len(rows), NEIGHBOURS), np.inf, dtype=np.float32)
    of_prompts = members(prompt, int(prompt.max()) + 1)
    for own, candidates in chain(_lists(rows, layout), zip(of_prompts, of_prompts, strict=True)):
        for start in range(0, len(own), BLOCK):
            block = own[start : start + BLOCK]
            best = _closest(rows, block, _bounded(candidates, block))
            found[block], far[block] = _nearer((found[block], far[block]), best)
            advance(len(block))
    return found


def _lists(rows: Floats, layout: Layout) -> Iterator[tuple[Places, Places]]:
    """Of each list its texts, and those of the lists nearest to it, its own among them."""
    landmarks = rows[layout.landmarks]
    heads = landmarks[evenly(len(landmarks), max(1, len(rows) // LISTED))]
    lists = members(squared_distances(landmarks, heads).argmin(axis=1)[layout.home], len(heads))
    between = squared_distances(heads, heads)
    np.fill_diagonal(between, -1.0)  # its own comes first, though another may lie in the same place
    looked_into = min(-(-CANDIDATES * len(lists) // len(rows)), len(lists))
    for own, near in zip(lists, nearest(between, looked_into), strict=True):
        yield own, np.concatenate([lists[other] for other in near])


def _bounded(candidates: Places, block: Places) -> Places:
    if len(candidates) <= MOST_CANDIDATES:
        return candidates
    return np.union1d(block, candidates[evenly(len(candidates), MOST_CANDIDATES)])


def _closest(rows: Floats, block: Places, candidates: Places) -> tuple[Places, Floats]:
    """The nearest candidates of each of a block, and how far they are; itself, if that must be, infinitely far."""
    distances = squared_distances(rows[block], rows[candidates])
    distances[candidates[None, :] == block[:, None]] = np.inf
    best = nearest(distances, min(NEIGHBOURS, len(candidates)))
    return candidates[best], np.take_along_axis(distances, best, axis=1)


def _nearer(known: tuple[Places, Floats], more: tuple[Places, Floats]) -> tuple[Places, Floats]:
    """The nearest of both, each once."""
    is_known = (more[0][:, :, None] == known[0][:, None, :]).any(axis=2)
    texts = np.concatenate([known[0], more[0]], axis=1)
    far = np.concatenate([known[1], np.where(is_known, np.inf, more[1])], axis=1)
    best = nearest(far, NEIGHBOURS)
    far = np.take_along_axis(far, best, axis=1)
    return np.where(np.isfinite(far), np.take_along_axis(texts, best, axis=1), NONE), far
