"""An atlas from the embedded completions of a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalkit.analysis.atlas.faithfulness import measure_faithfulness
from evalkit.analysis.atlas.layout import Layout, lay_out
from evalkit.analysis.atlas.neighbours import NONE, nearest_texts
from evalkit.analysis.atlas.packing import pack
from evalkit.analysis.atlas.regions import find_regions, middle, name_regions, shares
from evalkit.analysis.atlas.said import Places, Said, gather
from evalkit.analysis.embedding_map import find_plane
from evalkit.analysis.figure_data import Atlas, Region
from evalkit.metrics.embeddings.encoder import Floats
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import Groups

FEWEST = 100
"""Different texts; fewer are read sooner than they are searched on a map."""
FARTHEST = 32_000
"""Coordinates run from minus this to this: a pixel on a map that is magnified thirty times."""


def draw_atlas(groups: Groups, tell: Listener = QUIET) -> Atlas | None:
    """The atlas of all groups that have embeddings; None where these have fewer than `FEWEST` different texts."""
    said = gather(groups)
    if said is None or len(said.texts) < FEWEST:
        return None
    layout = lay_out(said.rows, tell)
    neighbours = nearest_texts(said.rows, layout, _first_prompt(said), tell.advance)
    faithfulness = measure_faithfulness(said.rows, layout.points, neighbours)
    regions = find_regions(layout)
    points = _whole(layout.points)
    columns = _columns(said, points, neighbours, regions)
    return Atlas(
        arms=said.arms,
        prompts=said.prompts,
        columns=tuple((name, len(column)) for name, column in columns.items()),
        packed=pack(columns),
        regions=_regions(said, layout, points, regions),
        placed=len(layout.landmarks),
        kept=faithfulness.kept,
        near=faithfulness.near,
        listed=faithfulness.listed,
    )


def _first_prompt(said: Said) -> Places:
    """(U,) a prompt that each text answers; most texts answer no other."""
    prompt = np.zeros(len(said.texts), dtype=np.int64)
    prompt[said.text[::-1]] = said.prompt[::-1]
    return prompt


def _whole(points: Floats) -> Places:
    """(U, 2) as whole numbers, the middle of the map at 0, its longer side across: screens are wider than high."""
    turned = find_plane(points).project(points)
    low, high = turned.min(axis=0), turned.max(axis=0)
    half = max(float((high - low).max()) / 2, np.finfo(np.float32).tiny)
    return np.asarray(np.round((turned - (low + high) / 2) / half * FARTHEST), dtype=np.int64)


def _columns(said: Said, points: Places, neighbours: Places, regions: Places) -> Mapping[str, Places]:
    """What the page unpacks: texts in an order in which those that are near each other have near numbers.

    Of each text its place, its region, how far from its own number those of its neighbours are (0: there is none), and
    how many points it is; then of each point, those of a text one after the other, who says it.
    """
    order = np.argsort(_interleaved(points), kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    away = np.where(neighbours == NONE, 0, number[neighbours] - number[:, None])[order]
    of_text = np.argsort(number[said.text], kind="stable")
    return {
        "x": points[order, 0],
        "y": points[order, 1],
        "region": regions[order],
        **{f"neighbour{place}": away[:, place] for place in range(away.shape[1])},
        "points": np.bincount(number[said.text], minlength=len(order)),
        "arm": said.arm[of_text],
        "prompt": said.prompt[of_text],
        "rank": said.rank[of_text],
        "count": said.count[of_text],
    }


def _interleaved(points: Places) -> Places:
    """(U,) the bits of both coordinates in turn (Morton 1966): near numbers are near places."""
    shifted = points + 2**15
    key = np.zeros(len(points), dtype=np.int64)
    for bit in range(16):
        for axis in range(2):
            key |= ((shifted[:, axis] >> bit) & 1) << (2 * bit + axis)
    return key


def _regions(said: Said, layout: Layout, points: Places, regions: Places) -> tuple[Region, ...]:
    names = name_regions(said, regions)
    completions, prompts = shares(said, regions)
    centres = [points[middle(layout.points, np.flatnonzero(regions == region))] for region in range(len(names))]
    return tuple(
        Region(words, int(x), int(y), tuple(of_arms), asked)
        for words, (x, y), of_arms, asked in zip(names, centres, completions, prompts, strict=True)
    )
