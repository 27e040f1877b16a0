"""Where a peer counts otherwise: its number and ours, on the same texts. Peers that agree are beside each metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import cosine_distances
from vendi_score import vendi as vendi_score

from evalkit.metrics.diversity.lexical import self_bleu
from evalkit.metrics.diversity.semantic import embedding_distance, vendi
from tests.metrics.diversity.groups import embedded, group_of

SEEDS = st.integers(0, 2**32 - 1)
FLOAT32 = 1e-6
"""Embeddings are float32, good to 6e-8 in each of their numbers; the peers are given float64."""


def rows(seed: int, k: int, d: int) -> np.ndarray:
    """(k, d) float64 of length 1, as near to each other as sentences are."""
    drawn = np.random.default_rng(seed).normal(size=(k, d)) + 0.5
    unit = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    return np.asarray(unit / np.linalg.norm(unit, axis=1, keepdims=True), dtype=np.float64)


@pytest.mark.parametrize(("q", "exact"), [(0.1, 7.714878198621774), (2.0, 4.630864281147496)])
def test_vendi_is_of_the_order_asked_where_score_x_of_the_peer_ignores_it(q: float, exact: float) -> None:
    data = rows(0, 20, 8)
    # `exact`: from the eigenvalues in 50 digits.
    assert vendi(embedded(data), q=q) == pytest.approx(exact, rel=FLOAT32)
    assert vendi_score.score_dual(data, q=q) == pytest.approx(exact, rel=FLOAT32)
    assert vendi_score.score_X(data, q=q) == pytest.approx(5.8008, abs=1e-3)  # the value at q = 1


def test_vendi_of_low_order_counts_no_rounding_error_where_the_peer_does() -> None:
    # 30 texts in 8 dimensions: 22 eigenvalues are 0, and come out as about 1e-17, whose power of 0.1 is 0.02 each.
    data = rows(0, 30, 8)
    ours = vendi(embedded(data), q=0.1)
    assert ours == pytest.approx(7.829936205232959, rel=FLOAT32)  # in 50 digits
    assert vendi_score.score_K(data @ data.T, q=0.1) > ours + 0.05  # 8.13, more than the 8 that there can be


@given(SEEDS, st.integers(2, 12), st.integers(2, 20))
def test_embedding_distance_is_scipy_s_mean_over_pairs(seed: int, k: int, d: int) -> None:
    data = rows(seed, k, d)
    assert embedding_distance(embedded(data)) == pytest.approx(pdist(data, "cosine").mean(), abs=FLOAT32)


@pytest.mark.parametrize("k", [2, 4, 32])
def test_a_completion_is_no_pair_with_itself_where_a_mean_over_the_whole_matrix_counts_it(k: int) -> None:
    # As `remote_clique` does: lower by (k - 1) / k, so that it moves with k for nothing.
    data = rows(1, k, 16)
    whole = float(cosine_distances(data).mean())
    assert embedding_distance(embedded(data)) == pytest.approx(whole * k / (k - 1), abs=FLOAT32)


def test_self_bleu_is_below_1_where_a_hypothesis_among_its_own_references_gives_1() -> None:
    # As Texygen's `get_bleu` does.
    texts = ["the old man told nobody about the storm", "a red boat went out to sea at night"]
    words = [text.split() for text in texts]
    smooth = SmoothingFunction().method1
    with_itself = [sentence_bleu(words, text, smoothing_function=smooth) for text in words]
    assert with_itself == pytest.approx([1, 1])
    assert self_bleu(group_of(texts)) < 0.1


def test_one_text_has_no_self_bleu_where_a_peer_calls_it_most_diverse() -> None:
    # HELM gives 0 for one sample, which is also the value of texts that share nothing.
    assert math.isnan(self_bleu(group_of(["the old man told nobody"])))
    assert self_bleu(group_of(["the old man", "a red boat"])) == 0
