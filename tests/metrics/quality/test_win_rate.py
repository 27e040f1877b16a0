"""The win rate against the baseline: all pairs, ties half, exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evalkit.metrics.quality.win_rate import win_rate
from evalkit.records import Group, Prompt

FEW_VALUES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=20)


def group(own: list[float], baseline: list[float] | None) -> Group:
    home = None if baseline is None else Group(Prompt("p", "?"), (), quality=np.array(baseline, dtype=np.float64))
    return Group(Prompt("p", "?"), (), quality=np.array(own, dtype=np.float64), baseline=home)


@given(FEW_VALUES, FEW_VALUES)
def test_it_is_the_double_loop(own: list[float], other: list[float]) -> None:
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in other)
    assert win_rate(group(own, other)) == pytest.approx(wins / (len(own) * len(other)))


@given(FEW_VALUES, FEW_VALUES)
def test_it_is_mann_and_whitneys_u(own: list[float], other: list[float]) -> None:
    u = stats.mannwhitneyu(own, other, method="asymptotic").statistic
    assert win_rate(group(own, other)) == pytest.approx(u / (len(own) * len(other)))


@given(FEW_VALUES)
def test_against_itself_it_is_a_half(own: list[float]) -> None:
    assert win_rate(group(own, own)) == 0.5


@given(FEW_VALUES, FEW_VALUES)
def test_both_sides_add_up_to_one(own: list[float], other: list[float]) -> None:
    assert win_rate(group(own, other)) + win_rate(group(other, own)) == pytest.approx(1)


def test_completions_without_a_quality_are_left_out() -> None:
    assert win_rate(group([1.0, math.nan], [0.0, math.nan, 2.0])) == 0.5
    assert math.isnan(win_rate(group([math.nan], [0.0])))
    assert math.isnan(win_rate(group([1.0], None)))
