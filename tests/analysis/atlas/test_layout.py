"""Near is alike, for those that were placed and for those that lie about them."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.atlas import layout as module
from evalkit.analysis.atlas.layout import evenly, lay_out, members, nearest, squared_distances
from evalkit.plumbing.progress import QUIET
from tests.analysis.atlas.clouds import crowds


def share_beside_their_own(points: np.ndarray, of_crowd: np.ndarray) -> float:
    """How many have one of their own crowd for their nearest on the map."""
    distances = squared_distances(points, points)
    np.fill_diagonal(distances, np.inf)
    return float((of_crowd[distances.argmin(axis=1)] == of_crowd).mean())


@pytest.mark.parametrize("landmarks", [400, 60])
def test_crowds_stay_together_also_where_few_texts_place_all(landmarks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANDMARKS", landmarks)
    rows, of_crowd = crowds(6, 40)
    found = lay_out(rows, QUIET)
    assert len(found.landmarks) == min(landmarks, len(rows))
    assert share_beside_their_own(found.points, of_crowd) > 0.95


def test_a_text_lies_about_its_landmark_among_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANDMARKS", 50)
    rows, _ = crowds(5, 60)
    found = lay_out(rows, QUIET)
    fixed = found.points[found.landmarks].astype(np.float64)
    third = np.sort(np.linalg.norm(fixed[:, None] - fixed[None], axis=2), axis=1)[:, module.NEXT]
    own = np.linalg.norm(found.points - fixed[found.home], axis=1)
    assert (own <= np.sqrt(2) * module.CELL * third[found.home] + 1e-3).all()
    assert np.median(own) > 0
    assert np.array_equal(found.home[found.landmarks], np.arange(50))


def test_the_same_rows_have_the_same_places() -> None:
    rows, _ = crowds(4, 30)
    assert np.array_equal(lay_out(rows, QUIET).points, lay_out(rows, QUIET).points)


def test_texts_that_are_all_one_have_places() -> None:
    assert np.isfinite(lay_out(np.ones((120, 8), dtype=np.float32), QUIET).points).all()


def test_distances_are_those_between_rows() -> None:
    rows, _ = crowds(3, 5)
    assert squared_distances(rows, rows) == pytest.approx(((rows[:, None] - rows[None]) ** 2).sum(axis=2), abs=1e-5)


def test_the_nearest_come_first() -> None:
    assert nearest(np.array([[3.0, 1, 2], [0, 5, 4]]), 2).tolist() == [[1, 2], [0, 2]]


def test_evenly_chosen_ones_have_both_ends_and_members_are_all_of_them() -> None:
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 9).tolist() == [0, 1, 2]
    assert [own.tolist() for own in members(np.array([2, 0, 2]), 4)] == [[1], [], [0, 2], []]
