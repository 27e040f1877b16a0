"""The nearest others of a text: all of them in a run of some thousand texts, most of them in a large one."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.atlas import neighbours as module
from evalkit.analysis.atlas.layout import Layout, evenly, squared_distances
from evalkit.analysis.atlas.neighbours import NEIGHBOURS, NONE, nearest_texts
from evalkit.analysis.atlas.said import Places
from evalkit.metrics.embeddings.encoder import Floats
from tests.analysis.atlas.clouds import crowds


def about(rows: Floats, count: int) -> Layout:
    landmarks = evenly(len(rows), count)
    return Layout(rows[:, :2], landmarks, squared_distances(rows, rows[landmarks]).argmin(axis=1))


def truly(rows: Floats) -> Places:
    distances = squared_distances(rows, rows)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.argsort(distances, axis=1)[:, :NEIGHBOURS])


def found(rows: Floats, landmarks: int = 50) -> Places:
    return nearest_texts(rows, about(rows, landmarks), np.zeros(len(rows), dtype=np.int64), lambda _: None)


def share(rows: Floats, listed: Places) -> float:
    return float(np.mean([np.isin(true, own).mean() for true, own in zip(truly(rows), listed, strict=True)]))


def test_a_small_run_has_the_true_ones() -> None:
    rows, _ = crowds(10, 60)
    assert np.array_equal(found(rows), truly(rows))


def test_a_large_run_has_most_and_never_itself_nor_one_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LISTED": 20, "CANDIDATES": 120, "MOST_CANDIDATES": 150, "BLOCK": 7}.items():
        monkeypatch.setattr(module, name, value)
    rows, _ = crowds(10, 60)
    listed = found(rows)
    assert share(rows, listed) > 0.6
    assert all(len({*own, place}) == NEIGHBOURS + 1 for place, own in enumerate(listed.tolist()))


def test_answers_to_the_same_prompt_are_looked_at_wherever_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTED", 10)
    monkeypatch.setattr(module, "CANDIDATES", 10)
    rows, of_crowd = crowds(10, 60, width=1.0)
    layout = about(rows, 50)
    without = nearest_texts(rows, layout, np.arange(len(rows)), lambda _: None)
    assert share(rows, nearest_texts(rows, layout, of_crowd, lambda _: None)) > share(rows, without) + 0.1


def test_where_there_are_no_more_there_is_none() -> None:
    rows, _ = crowds(1, 3)
    listed = found(rows, 2)
    assert (listed[:, :2] >= 0).all()
    assert (listed[:, 2:] == NONE).all()


def test_every_text_is_told_of_twice() -> None:
    rows, of_crowd = crowds(4, 30)
    told: list[int] = []
    nearest_texts(rows, about(rows, 10), of_crowd, told.append)
    assert sum(told) == 2 * len(rows)
