"""Curves over k against the mean over every subset, and against published values."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalkit.errors import MetricError
from evalkit.metrics.estimators.subsets import best_of, expected_classes, expected_kinds, pass_at


def over_all_subsets(items: list[object], k: int, value: object) -> float:
    """The definition itself: the mean of `value` over all C(n, k) subsets, in exact arithmetic."""
    subsets = list(combinations(items, k))
    return float(sum((Fraction(value(subset)) for subset in subsets), Fraction(0)) / len(subsets))  # type: ignore[operator]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) <= 10))
@example([1])
@example([10])
@example([1] * 10)
def test_expected_classes_is_the_mean_over_every_subset(sizes: list[int]) -> None:
    members = [label for label, size in enumerate(sizes) for _ in range(size)]
    ks = range(1, len(members) + 1)
    wanted = [over_all_subsets(members, k, lambda subset: len(set(subset))) for k in ks]
    assert expected_classes(sizes, ks) == pytest.approx(wanted, abs=1e-12)


@given(st.integers(0, 9).flatmap(lambda total: st.tuples(st.integers(0, total + 1), st.just(total + 1))))
def test_pass_at_is_the_mean_over_every_subset(case: tuple[int, int]) -> None:
    correct, total = case
    right = [index < correct for index in range(total)]
    ks = range(1, total + 1)
    assert pass_at(correct, total, ks) == pytest.approx([over_all_subsets(right, k, any) for k in ks], abs=1e-12)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
@example([1.0, 1.0, 1.0])
@example([3.0, -1.0])
def test_best_of_is_the_mean_over_every_subset(values: list[float]) -> None:
    ks = range(1, len(values) + 1)
    wanted = [over_all_subsets(values, k, max) for k in ks]
    assert best_of(np.array(values), ks) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_the_best_is_no_better_than_the_best_there_is() -> None:
    ks = range(1, 33)
    assert set(best_of(np.ones(32), ks)) == {1.0}


@given(st.lists(st.frozensets(st.sampled_from("abcd")), min_size=1, max_size=7))
def test_expected_kinds_counts_what_completions_share(texts: list[frozenset[str]]) -> None:
    holders = [sum(kind in text for text in texts) for kind in "abcd"]
    ks = range(1, len(texts) + 1)
    wanted = [over_all_subsets(texts, k, lambda subset: len(frozenset().union(*subset))) for k in ks]
    assert expected_kinds(holders, len(texts), ks) == pytest.approx(wanted, abs=1e-12)


def test_pass_at_two_of_inspect_s_example() -> None:
    # 3 right of 6 (its values 6, 8 and 4; the zeros are wrong): 1 - C(3, 2) / C(6, 2).
    assert pass_at(3, 6, [2])[0] == pytest.approx(0.8)


def test_thousands_of_completions_stay_exact() -> None:
    total, size = 20_000, 7_000
    for k in (1, 2, 64, 5_000):
        exact = 1 - float(Fraction(comb(total - size, k), comb(total, k)))
        assert pass_at(size, total, [k])[0] == pytest.approx(exact, rel=1e-12)
    values = np.arange(1.0, 2_001.0)
    # The largest of k of 1..n is on average k (n + 1) / (k + 1).
    assert best_of(values, [1, 10, 1_999]) == pytest.approx([k * 2001 / (k + 1) for k in (1, 10, 1_999)], rel=1e-12)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_rarefaction_rises_from_one_to_all_classes_with_falling_steps(sizes: list[int]) -> None:
    curve = expected_classes(sizes, range(1, sum(sizes) + 1))
    steps = np.diff(curve)
    assert curve[0] == pytest.approx(1)
    assert curve[-1] == pytest.approx(len(sizes))
    assert (steps >= -1e-12).all()
    assert (np.diff(steps) <= 1e-9).all()


def test_a_value_that_is_missing_leaves_the_best_undefined() -> None:
    assert np.isnan(best_of(np.array([1.0, np.nan, 2.0]), [1, 2])).all()


@pytest.mark.parametrize("k", [0, -1, 4])
def test_a_k_that_cannot_be_estimated_is_refused_not_guessed(k: int) -> None:
    message = f"k is {k}; of 3 completions it must be 1 to 3"
    for call in (
        lambda: pass_at(3, 3, [1, k]),
        lambda: expected_classes([1, 2], [k]),
        lambda: best_of(np.ones(3), [k]),
    ):
        with pytest.raises(MetricError, match=message):
            call()
