"""Entropy and branching factor from log-probs, against laws whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.diversity.distribution import branching_factor, sequence_entropy

from .groups import surprised

LOGPROBS = st.lists(st.lists(st.floats(-30, 0), min_size=1, max_size=8), min_size=1, max_size=8)


def test_values_by_hand() -> None:
    # Surprisals log 2 + log 4 = log 8 and log 2: mean log 4; three tokens, so exp(log 16 / 3).
    group = surprised([-math.log(2), -math.log(4)], [-math.log(2)])
    assert sequence_entropy(group) == pytest.approx(math.log(4))
    assert branching_factor(group) == pytest.approx(16 ** (1 / 3))


def test_a_model_that_always_says_the_same() -> None:
    assert sequence_entropy(surprised([0.0, 0.0], [0.0, 0.0])) == 0
    assert branching_factor(surprised([0.0, 0.0], [0.0])) == 1


def test_uniform_tokens_branch_by_their_number() -> None:
    assert branching_factor(surprised([-math.log(7)] * 5, [-math.log(7)] * 2)) == pytest.approx(7)


def test_sequence_entropy_is_unbiased_at_any_k() -> None:
    # One token of law p, then an end token that is certain: entropy of p.
    law = np.array([0.6, 0.3, 0.08, 0.02])
    rng = np.random.default_rng(0)
    for k in (1, 4):
        draws = rng.choice(4, size=(20_000, k), p=law)
        values = [sequence_entropy(surprised(*([math.log(law[x]), 0.0] for x in row))) for row in draws]
        error = np.std(values) / math.sqrt(len(values))
        assert np.mean(values) == pytest.approx(-(law @ np.log(law)), abs=4 * error)


def test_unknown_log_probs_leave_both_undefined() -> None:
    for group in (surprised([-1.0], []), surprised([]), surprised()):
        assert math.isnan(sequence_entropy(group))
        assert math.isnan(branching_factor(group))


@settings(deadline=None)
@given(LOGPROBS, st.randoms())
def test_order_and_doubling_change_nothing(rows: list[list[float]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for metric in (sequence_entropy, branching_factor):
        value = metric(surprised(*rows))
        assert metric(surprised(*shuffled)) == pytest.approx(value)
        assert metric(surprised(*rows, *rows)) == pytest.approx(value)
    assert sequence_entropy(surprised(*rows)) >= 0
    assert branching_factor(surprised(*rows)) >= 1
