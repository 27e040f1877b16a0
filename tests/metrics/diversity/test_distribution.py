"""Entropy and branching factor from log-probs, against laws whose truth is known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import MetricError
from evalkit.metrics.diversity.distribution import (
    branching_by_position,
    branching_factor,
    nats_per_byte,
    nats_per_token,
    rank_decay,
    sequence_entropy,
    token_entropy,
)
from evalkit.records import RANKS, Group, NextTokenDistributions
from tests.metrics.diversity.groups import surprised

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
    # One token of distribution p, then an end token that is certain: entropy of p.
    distribution = np.array([0.6, 0.3, 0.08, 0.02])
    rng = np.random.default_rng(0)
    for k in (1, 4):
        draws = rng.choice(4, size=(20_000, k), p=distribution)
        values = [sequence_entropy(surprised(*([math.log(distribution[x]), 0.0] for x in row))) for row in draws]
        error = np.std(values) / math.sqrt(len(values))
        assert np.mean(values) == pytest.approx(-(distribution @ np.log(distribution)), abs=4 * error)


def test_unknown_log_probs_leave_both_undefined() -> None:
    for group in (surprised([-1.0], []), surprised([]), surprised()):
        assert math.isnan(sequence_entropy(group))
        assert math.isnan(branching_factor(group))


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


def with_laws(*laws: np.ndarray) -> Group:
    """A group whose completions met these next-token laws, [T, V] each."""
    found = []
    for distribution in laws:
        ordered = -np.sort(-distribution, axis=-1)
        at_ranks = np.full((len(distribution), len(RANKS)), np.nan, dtype=np.float32)
        known = [rank for rank in RANKS if rank <= distribution.shape[-1]]
        at_ranks[:, : len(known)] = np.log(ordered[:, np.array(known) - 1])
        found.append(
            NextTokenDistributions(-(distribution * np.log(distribution)).sum(-1).astype(np.float32), at_ranks)
        )
    return dataclasses.replace(
        surprised(*([-1.0] * len(distribution) for distribution in laws)), next_token_distributions=tuple(found)
    )


def test_per_token_and_per_byte_by_hand() -> None:
    group = surprised([-3.0, -1.0], [-2.0])
    completions = tuple(
        dataclasses.replace(one, text=text) for one, text in zip(group.completions, (" né", "x"), strict=True)
    )
    group = dataclasses.replace(group, completions=completions)
    assert nats_per_token(group) == pytest.approx(2.0)
    assert math.log(branching_factor(group)) == pytest.approx(nats_per_token(group))
    assert nats_per_byte(group) == pytest.approx(6 / 5), "é is two bytes, and the space is one"


def test_texts_without_a_byte_have_no_nats_per_byte() -> None:
    assert math.isnan(nats_per_byte(surprised([-1.0])))


def test_token_entropy_weighs_every_visited_state_the_same() -> None:
    flat, sure = np.full((1, 4), 0.25), np.array([[0.97, 0.01, 0.01, 0.01]])
    inner = -(sure * np.log(sure)).sum()
    group = with_laws(np.concatenate([flat, flat, flat]), sure)
    assert token_entropy(group) == pytest.approx((3 * math.log(4) + inner) / 4, rel=1e-6)


@pytest.mark.parametrize("size", [50, 2000])
@given(decay=st.floats(0.1, 3))
@settings(max_examples=20)
def test_rank_decay_finds_a_power_law_exactly(size: int, decay: float) -> None:
    distribution = np.arange(1, size + 1.0) ** -decay
    group = with_laws(np.stack([distribution / distribution.sum()] * 2))
    assert rank_decay(group) == pytest.approx(-decay, rel=1e-5)


@given(decay=st.floats(0.001, 0.05))
@settings(max_examples=20)
def test_rank_decay_over_rank_finds_an_exponential_law_exactly(decay: float) -> None:
    distribution = np.exp(-decay * np.arange(1500))
    assert rank_decay(with_laws(distribution[None] / distribution.sum()), over="rank") == pytest.approx(
        -decay, rel=1e-4
    )


def test_rank_decay_of_a_uniform_law_is_0_and_of_a_mixture_the_mean() -> None:
    flat = np.full((1, 64), 1 / 64)
    steep = np.arange(1, 65.0)[None] ** -2.0
    assert rank_decay(with_laws(flat)) == pytest.approx(0, abs=1e-6)
    assert rank_decay(with_laws(flat, steep / steep.sum())) == pytest.approx(-1, rel=1e-5)


def test_rank_decay_leaves_out_ranks_that_a_law_rules_out() -> None:
    distribution = np.zeros((1, 40))
    distribution[0, :10] = np.arange(1, 11.0) ** -1.5
    with np.errstate(divide="ignore", invalid="ignore"):
        group = with_laws(distribution / distribution.sum())
    assert rank_decay(group) == pytest.approx(-1.5, rel=1e-5)


def test_rank_decay_says_what_it_may_be_taken_over() -> None:
    with pytest.raises(MetricError, match=r"over is 'ranks'; it must be log_rank or rank"):
        rank_decay(surprised([-1.0]), over="ranks")


def test_measures_of_laws_are_undefined_without_them() -> None:
    assert math.isnan(token_entropy(surprised([-1.0])))
    assert math.isnan(rank_decay(surprised([-1.0])))


def test_branching_by_position_counts_who_is_still_going() -> None:
    rows = [-math.log(4), -math.log(2)], [-math.log(9)], [-math.log(6), -math.log(8), 0.0]
    branching, going = branching_by_position(surprised(*rows))
    assert going.tolist() == [3, 2, 1]
    assert branching == pytest.approx([(4 * 9 * 6) ** (1 / 3), 4, 1])


def test_branching_by_position_adds_up_to_the_branching_factor() -> None:
    group = surprised([-1.0, -0.5, -2.0], [-0.1], [-4.0, -0.3])
    branching, going = branching_by_position(group)
    assert math.exp(np.log(branching) @ going / going.sum()) == pytest.approx(branching_factor(group))
