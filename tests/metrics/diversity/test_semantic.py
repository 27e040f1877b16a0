"""Semantic metrics against direct loops, vendi-score and published values."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import MetricError
from evalkit.metrics.diversity.semantic import embedding_distance, vendi
from tests.metrics.diversity.groups import embedded

SEEDS = st.integers(0, 2**32 - 1)


def rows(seed: int, k: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(k, d)) + 0.5


def with_cosines(cosines: np.ndarray) -> np.ndarray:
    """Rows of length 1 with these cosines between them."""
    values, vectors = np.linalg.eigh(cosines)
    return vectors * np.sqrt(np.maximum(values, 0))


@given(SEEDS, st.integers(2, 12), st.integers(1, 20))
def test_embedding_distance_is_the_mean_over_all_pairs(seed: int, k: int, d: int) -> None:
    group = embedded(rows(seed, k, d))
    assert group.embeddings is not None
    unit = group.embeddings.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    direct = np.mean([1 - unit[i] @ unit[j] for i, j in combinations(range(k), 2)])
    assert embedding_distance(group) == pytest.approx(direct, abs=1e-12)


def test_embedding_distance_of_known_angles() -> None:
    assert embedding_distance(embedded(np.eye(3))) == pytest.approx(1)
    assert embedding_distance(embedded(np.array([[1.0, 0], [-1, 0]]))) == pytest.approx(2)
    # Pairs: same (0), and twice at 60 degrees (1 - 1/2): mean 1/3.
    assert embedding_distance(embedded(np.array([[1.0, 0], [1, 0], [0.5, 0.75**0.5]]))) == pytest.approx(
        1 / 3, abs=1e-6
    )


@pytest.mark.parametrize("k", [2, 7, 200])
def test_identical_completions_have_distance_zero_and_one_effective_number(k: int) -> None:
    group = embedded(np.tile(rows(0, 1, 512), (k, 1)))
    assert embedding_distance(group) == pytest.approx(0, abs=1e-12)
    for q in (0.0, 0.1, 1.0, 2.0, math.inf):
        assert vendi(group, q=q) == pytest.approx(1, abs=1e-9)


def test_orthogonal_completions_count_in_full() -> None:
    for q in (0.0, 0.1, 1.0, 2.0, math.inf):
        assert vendi(embedded(np.eye(6)), q=q) == pytest.approx(6)


def test_vendi_gives_the_values_in_the_readme_of_vendi_score() -> None:
    spots = np.array([0, 0, 10, 10, 20, 20])
    apart = np.exp(-np.abs(spots[:, None] - spots[None, :]))
    assert vendi(embedded(with_cosines(apart))) == pytest.approx(2.9999, abs=1e-4)
    cosines = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert vendi(embedded(with_cosines(cosines))) == pytest.approx(2.1573, abs=1e-4)


@pytest.mark.parametrize("q", [0.1, 0.5, 1.0, 2.0, math.inf])
@pytest.mark.parametrize(("k", "d"), [(8, 64), (64, 64), (200, 32)])
def test_vendi_is_vendi_score_s(k: int, d: int, q: float) -> None:
    from vendi_score import vendi as peer

    group = embedded(rows(k, k, d))
    assert group.embeddings is not None
    exact = group.embeddings.astype(np.float64)
    order = "inf" if math.isinf(q) else q
    theirs = peer.score_K(exact @ exact.T, q=order) if k <= d else peer.score_dual(exact, q=order)
    assert vendi(group, q=q) == pytest.approx(theirs, rel=1e-6)


@given(SEEDS, st.integers(1, 20), st.integers(1, 20))
def test_both_eigenproblems_give_one_answer_within_its_bounds(seed: int, k: int, d: int) -> None:
    data = rows(seed, k, d)
    padded = np.hstack([data, np.zeros((k, k))])  # more dimensions than completions: the other problem is solved
    for q in (0.1, 1.0, 2.0, math.inf):
        value = vendi(embedded(data), q=q)
        assert value == pytest.approx(vendi(embedded(padded), q=q), rel=1e-5)
        assert 1 - 1e-9 <= value <= min(k, d) + 1e-6


@given(SEEDS, st.integers(2, 10))
def test_order_changes_nothing_and_doubling_only_what_it_should(seed: int, k: int) -> None:
    data = rows(seed, k, 6)
    shuffled = data[np.random.default_rng(seed).permutation(k)]
    doubled = np.vstack([data, data])
    assert vendi(embedded(shuffled)) == pytest.approx(vendi(embedded(data)), rel=1e-9)
    assert embedding_distance(embedded(shuffled)) == pytest.approx(embedding_distance(embedded(data)), abs=1e-12)
    assert vendi(embedded(doubled)) == pytest.approx(vendi(embedded(data)), rel=1e-9)
    # Of the (2k)(2k - 1) ordered pairs, the 2k new ones of equal texts are at distance 0.
    wanted = embedding_distance(embedded(data)) * 4 * k * (k - 1) / (2 * k * (2 * k - 1))
    assert embedding_distance(embedded(doubled)) == pytest.approx(wanted, abs=1e-9)


def test_too_few_completions() -> None:
    assert math.isnan(embedding_distance(embedded(rows(0, 1, 4))))
    assert vendi(embedded(rows(0, 1, 4))) == pytest.approx(1)
    assert math.isnan(vendi(embedded(np.empty((0, 4)))))
    assert math.isnan(embedding_distance(embedded(np.empty((0, 4)))))


@pytest.mark.parametrize("q", [-1.0, math.nan])
def test_a_bad_order_is_named(q: float) -> None:
    with pytest.raises(MetricError, match="q is"):
        vendi(embedded(np.eye(2)), q=q)


def test_vendi_of_20_000_texts_solves_the_small_problem() -> None:
    assert 1 < vendi(embedded(rows(1, 20_000, 64))) <= 64  # the other one would need 3 GB
