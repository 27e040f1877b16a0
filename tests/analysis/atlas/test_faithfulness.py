"""How true a map is: all of it where nothing is lost, chance where everything is."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.atlas.faithfulness import TRUE, measure_faithfulness
from evalkit.analysis.atlas.layout import squared_distances


def truly(rows: np.ndarray) -> np.ndarray:
    distances = squared_distances(rows, rows)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)


@pytest.fixture
def flat() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)


def test_a_map_of_what_is_flat_keeps_all(flat: np.ndarray) -> None:
    found = measure_faithfulness(flat, 3 * flat + 1, truly(flat)[:, :5])
    assert (found.kept, found.near, found.listed) == (1, 1, 1)


def test_a_map_without_any_order_keeps_what_chance_does(flat: np.ndarray) -> None:
    shuffled = np.random.default_rng(1).permutation(flat)
    found = measure_faithfulness(flat, shuffled, np.roll(truly(flat), 7, axis=0)[:, :5])
    assert found.kept == pytest.approx(TRUE / 399, abs=0.01)
    assert found.listed < 0.05


def test_it_is_what_counting_by_hand_gives() -> None:
    """Eleven others, of whom one of the ten true neighbours is not among the ten on the map; two of five listed."""
    rows = np.arange(12, dtype=np.float32)[:, None]
    points = np.concatenate([rows, np.zeros_like(rows)], axis=1)
    points[1] = 50.0
    neighbours = np.tile([1, 2, 9, 10, 11], (12, 1))
    found = measure_faithfulness(rows, points, neighbours)
    true = truly(rows)
    on_map = truly(points)
    assert found.kept == pytest.approx(
        np.mean([len({*a[:10]} & {*b[:10]}) / 10 for a, b in zip(true, on_map, strict=True)]), abs=5e-4
    )
    fifth = [np.sort(np.delete(abs(rows[:, 0] - row), int(row)))[4] for row in rows[:, 0]]
    as_near = [
        sum(other != row and abs(other - row) <= far for other in (1, 2, 9, 10, 11)) / 5
        for row, far in enumerate(fifth)
    ]
    assert found.listed == pytest.approx(np.mean(as_near), abs=5e-4)


def test_of_two_that_are_equally_near_either_may_be_listed() -> None:
    rows = np.random.default_rng(2).normal(size=(40, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.concatenate([rows, rows])  # each text has a double, so that others come in twos
    true = truly(rows)[:, :2]
    double = (true[:, 1] + 40) % 80
    for second in (true[:, 1], double):
        found = measure_faithfulness(rows, rows[:, :2], np.column_stack([true[:, 0], second]))
        assert found.listed == 1
    farther = truly(rows)[:, 3]
    assert measure_faithfulness(rows, rows[:, :2], np.column_stack([true[:, 0], farther])).listed == 0.5
