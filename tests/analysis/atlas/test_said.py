"""Which texts there are and who says them."""

from __future__ import annotations

import numpy as np

from evalkit.analysis.atlas import said as module
from evalkit.analysis.atlas.said import Said, gather
from tests.analysis.test_embedding_map import group


def gathered(**groups: list) -> Said:
    found = gather(groups)
    assert found is not None
    return found


def rows(count: int, d: int = 4) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, d))


def test_equal_texts_are_one_whoever_says_them() -> None:
    some = rows(3)
    base = group("p", ["a", "b", "b"], some[[0, 1, 1]])
    tuned = group("p", ["b", "c"], some[[1, 2]])
    found = gathered(base=[base], tuned=[tuned])
    assert sorted(found.texts) == ["a", "b", "c"]
    assert found.rows[found.texts.index("c")].tolist() == tuned.embeddings[1].tolist()  # type: ignore[index]
    spoken = {
        (found.arms[arm], found.texts[text], count)
        for arm, text, count in zip(found.arm, found.text, found.count, strict=True)
    }
    assert spoken == {("base", "a", 1), ("base", "b", 2), ("tuned", "b", 1), ("tuned", "c", 1)}


def test_ranks_are_those_of_the_samples_on_the_page() -> None:
    found = gathered(base=[group("p", ["a", "b", "b"], rows(3)[[0, 1, 1]])])
    assert {found.texts[text]: rank for text, rank in zip(found.text, found.rank, strict=True)} == {"b": 0, "a": 1}


def test_without_embeddings_there_is_nothing() -> None:
    assert gather({"base": []}) is None


def test_long_rows_keep_their_distances_nearly() -> None:
    long = rows(20, 3000).astype(np.float32)
    long /= np.linalg.norm(long, axis=1, keepdims=True)
    found = gathered(base=[group("p", [str(i) for i in range(20)], long)]).rows
    assert found.shape == (20, module.MOST_DIMENSIONS)
    true = np.linalg.norm(long[:, None] - long[None], axis=2)[np.triu_indices(20, 1)]
    short = np.linalg.norm(found[:, None] - found[None], axis=2)[np.triu_indices(20, 1)]
    assert np.abs(short / true - 1).max() < 0.1
