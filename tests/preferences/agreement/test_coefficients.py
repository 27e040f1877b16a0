"""Coefficients are those of the books and of their peers; where nothing differs, nothing is claimed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from evalkit.preferences.agreement.coefficients import Answers, agreement, couples, share
from evalkit.preferences.agreement.two_way import Estimate

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", example C: 4 observers, 12 units, nominal alpha 0.743.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)  # fmt: skip
# Wikipedia's example of Fleiss' kappa: 14 raters, 10 subjects, 5 categories; kappa 0.210.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


def answers_of(table: np.ndarray) -> Answers:
    return np.stack([np.repeat(np.arange(table.shape[1]), row) for row in table], axis=1).astype(np.int8)


def everyone(answers: Answers) -> np.ndarray:
    return np.arange(len(answers))


def test_alpha_is_krippendorffs() -> None:
    answers = (KRIPPENDORFF - 1).astype(np.int8)
    found = agreement("krippendorff", couples(answers, 5, everyone(answers)), 5, [everyone(answers)])
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.pairs == 11  # one unit has a single value


def test_kappa_is_fleiss() -> None:
    answers = answers_of(FLEISS)
    found = agreement("fleiss", couples(answers, 5, everyone(answers)), 5, [everyone(answers)])
    assert found.value == pytest.approx(0.210, abs=5e-4)


def test_alpha_and_fleiss_are_those_of_the_peers() -> None:
    """`krippendorff` 0.9.0 and `statsmodels` 0.15.0 on the same numbers."""
    rng = np.random.default_rng(3)
    whole = rng.integers(0, 3, (5, 40))
    whole[:, ::2] = whole[0, ::2]
    some = np.where(rng.random(whole.shape) < 0.3, -1, whole).astype(np.int8)
    rows = np.arange(5)
    assert agreement("krippendorff", couples(some, 3, rows), 3, [rows]).value == pytest.approx(0.47952548712595683)
    whole = whole.astype(np.int8)
    assert agreement("fleiss", couples(whole, 3, rows), 3, [rows]).value == pytest.approx(0.49799954706726046)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40))
def test_kappa_of_two_raters_is_cohens(pairs: list[tuple[int, int]]) -> None:
    answers = np.array(pairs, np.int8).T
    found = agreement("cohen", couples(answers, 3, np.array([0]), np.array([1])), 3, [np.array([0]), np.array([1])])
    if len(set(answers.ravel().tolist())) == 1:
        assert np.isnan(found.value)
    else:
        assert found.value == pytest.approx(cohen_kappa_score(*answers))
        assert -1 <= found.low <= found.value <= found.high <= 1


def test_raw_agreement_is_counted_over_couples() -> None:
    answers = np.array([[0, 0, 1, -1], [0, 1, 1, 2], [0, 0, -1, 2]], np.int8)
    within = agreement("raw", couples(answers, 3, np.arange(3)), 3, [np.arange(3)])
    assert within.value == (3 + 1 + 1 + 1) / 8
    between = agreement(
        "raw", couples(answers, 3, np.array([0]), np.array([1, 2])), 3, [np.array([0]), np.array([1, 2])]
    )
    assert between.value == (2 + 1 + 1) / 5
    assert (between.pairs, between.raters, between.over) == (3, 3, "pairs")


def test_one_mind_leaves_room_for_pairs_not_seen() -> None:
    answers = np.tile(np.array([0, 1, 0, 1, 1, 0, 0, 1, 0, 1], np.int8), (4, 1))
    found = agreement("raw", couples(answers, 3, np.arange(4)), 3, [np.arange(4)])
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 10))  # Clopper and Pearson's, 10 of 10
    never = share(np.zeros((4, 10)), np.arange(4))
    assert (never.low, never.value) == (0, 0)
    assert never.high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_without_a_pair_in_common_nothing_is_said() -> None:
    answers = np.array([[0, -1], [-1, 1]], np.int8)
    found = agreement("krippendorff", couples(answers, 3, np.arange(2)), 3, [np.arange(2)])
    assert np.isnan([found.value, found.low, found.high]).all()
    assert np.isnan(share(np.full((2, 2), np.nan), np.arange(2)).value)


def test_the_interval_of_two_raters_kappa_holds_over_pairs() -> None:
    """Two raters of stated probabilities: 95 of 100 intervals, of 60 pairs each, hold the kappa of all pairs."""
    rng = np.random.default_rng(5)
    sharp = rng.random(100_000) < 0.6
    alone = rng.integers(0, 3, (2, len(sharp)))
    answers = np.where(sharp, alone[0], alone).astype(np.int8)
    one, other = np.array([0]), np.array([1])

    def kappa(some: Answers) -> Estimate:
        return agreement("cohen", couples(some, 3, one, other), 3, [one, other])

    truth = kappa(answers).value
    assert truth == pytest.approx(0.6, abs=0.01)
    found = [kappa(answers[:, rng.integers(0, len(sharp), 60)]) for _ in range(400)]
    held = np.mean([row.low <= truth <= row.high for row in found])
    assert 0.93 - 2.5 * 0.011 <= held <= 0.97 + 2.5 * 0.011
