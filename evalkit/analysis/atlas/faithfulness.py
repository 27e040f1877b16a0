"""How true the atlas is, measured on some of its texts against all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.analysis.atlas.layout import nearest, squared_distances
from evalkit.analysis.atlas.neighbours import NONE
from evalkit.analysis.atlas.said import Places
from evalkit.metrics.embeddings.encoder import Floats

ASKED = 500
"""Texts: their mean share is known to two hundredths."""
AT_A_TIME = 100
TRUE = 10
"""Nearest texts in all dimensions that are looked for on the map."""
NEAR = 100
"""The nearest hundredth of the map is near."""
ROUNDING = 1e-6
"""Of squared distances between rows of length 1, in single precision."""


@dataclass(frozen=True)
class Faithfulness:
    """Means over the texts that were asked, from 0 to 1."""

    kept: float
    """Of the `TRUE` texts nearest in all dimensions, how many are among as many nearest on the map."""
    near: float
    """The same among the nearest hundredth on the map."""
    listed: float
    """Of the nearest texts in all dimensions, as many as are listed, how many are listed, or others just as near."""


def measure_faithfulness(rows: Floats, points: Floats, neighbours: Places) -> Faithfulness:
    """Of (U, 2) points and (U, k) neighbours to (U, d) rows, U of 2 or more."""
    asked = np.unique(np.linspace(0, len(rows) - 1, min(ASKED, len(rows))).round().astype(np.int64))
    shares = [
        _shares(rows, points, neighbours, asked[start : start + AT_A_TIME]) for start in range(0, len(asked), AT_A_TIME)
    ]
    return Faithfulness(*(float(f"{value:.3g}") for value in np.concatenate(shares, axis=1).mean(axis=1)))


def _shares(rows: Floats, points: Floats, neighbours: Places, asked: Places) -> Floats:
    """(3, k) of each text that is asked."""
    most = min(TRUE, len(rows) - 1)
    distances = _to_others(rows, asked)
    true = nearest(distances, most)
    on_map = nearest(_to_others(points.astype(np.float64), asked), max(most, len(rows) // NEAR))
    as_near = _as_near(distances, true[:, : neighbours.shape[1]], neighbours[asked])
    return np.array([_found(true, on_map[:, :most]), _found(true, on_map), as_near])


def _found(wanted: Places, given: Places) -> Floats:
    """(n,) share of (n, m) wanted texts that are among (n, k) given ones."""
    return np.asarray([np.isin(one, other).mean() for one, other in zip(wanted, given, strict=True)])


def _as_near(distances: Floats, wanted: Places, given: Places) -> Floats:
    """(n,) how many of (n, k) given texts are no farther than the last of (n, m) wanted ones, as a share of these.

    Which of two that are equally far comes first is the processor's rounding.
    """
    last = np.take_along_axis(distances, wanted[:, -1:], axis=1)
    far = np.where(given == NONE, np.inf, np.take_along_axis(distances, np.maximum(given, 0), axis=1))
    return np.asarray((far <= last + ROUNDING).sum(axis=1) / wanted.shape[1])


def _to_others(places: Floats, asked: Places) -> Floats:
    distances = squared_distances(places[asked], places)
    distances[np.arange(len(asked)), asked] = np.inf
    return distances
