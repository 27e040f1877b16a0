"""The size that is named finds the loss as often as it says; variances split into those of prompts and of draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.gate.stats.noninferiority import weigh
from evalkit.gate.stats.power import (
    CAUTION,
    Cost,
    Split,
    Spread,
    caution,
    cheapest,
    common_splits,
    power_of,
    prompts_for,
    sample_sizes,
    splits_for,
    spread_of,
)
from evalkit.plumbing.arrays import Array
from evalkit.records import Margin

ABSOLUTE = Margin("absolute", 0.1)
N = 16


def draws(seed: int, prompts: int, apart: float, noise: float) -> tuple[Array, Array]:
    """A metric that is a mean of N draws: (2 sides, prompts, N), sides differing by `apart` between prompts."""
    rng = np.random.default_rng(seed)
    level = rng.normal(5, 2, prompts)
    sides = np.stack([level + rng.normal(0, apart, prompts), level])
    return sides, sides[:, :, None] + rng.normal(0, noise, (2, prompts, N))


def halved(drawn: Array) -> Array:
    """(1 split, 2, prompts): means of the two halves."""
    return np.stack([drawn[:, : N // 2].mean(axis=1), drawn[:, N // 2 :].mean(axis=1)])[None]


def test_the_variance_of_prompts_is_told_from_that_of_draws() -> None:
    _, drawn = draws(0, 4000, apart=0.5, noise=2.0)
    spread = spread_of(
        drawn[0].mean(axis=1), drawn[1].mean(axis=1), (halved(drawn[0]), halved(drawn[1])), ABSOLUTE, N, same=False
    )
    assert spread.between == pytest.approx(0.25, rel=0.15)
    assert spread.within == pytest.approx(2 * 2.0**2 / N, rel=0.1)
    assert spread.level == pytest.approx(5, abs=0.2)


def test_an_arm_against_itself_stands_for_two_that_differ_by_their_draws_alone() -> None:
    _, drawn = draws(1, 4000, apart=0.0, noise=2.0)
    own, halves = drawn[0].mean(axis=1), halved(drawn[0])
    spread = spread_of(own, own, (halves, halves), ABSOLUTE, N, same=True)
    assert spread.between == pytest.approx(0, abs=1e-12)
    assert spread.within == pytest.approx(2 * 2.0**2 / N, rel=0.1)
    share = spread_of(own, own, (halves, halves), Margin("relative", 0.1), N, same=True)
    assert share.between == pytest.approx(0.1**2 * 4, rel=0.1)  # what is allowed differs from prompt to prompt
    assert share.within == pytest.approx((1 + 0.9**2) * 2.0**2 / N, rel=0.1)


@pytest.mark.parametrize("samples", [8, 16, 32])
def test_the_named_size_finds_the_loss_as_often_as_it_says(samples: int) -> None:
    spread = Spread(level=5, between=0.09, within=0.2, samples=N)
    size = prompts_for(spread, samples, 0.15, 0.05 / 3, 0.9)
    assert size is not None
    rng = np.random.default_rng(0)
    deviation = np.sqrt(0.09 + 0.2 * N / samples)
    base = np.zeros(size)
    found = [
        weigh(rng.normal(-ABSOLUTE.size - 0.15, deviation, size), base, ABSOLUTE).beyond < 0.05 / 3 for _ in range(2000)
    ]
    assert np.mean(found) == pytest.approx(0.9, abs=0.027)  # four standard errors
    assert power_of(spread, size - 1, samples, 0.15, 0.05 / 3) < 0.9


@given(between=st.floats(0, 1), within=st.floats(0.01, 1), beyond=st.floats(0.05, 1), alpha=st.floats(0.005, 0.1))
@settings(max_examples=30)
def test_more_completions_never_need_more_prompts(between: float, within: float, beyond: float, alpha: float) -> None:
    spread = Spread(5, between, within, N)
    sizes = [prompts_for(spread, k, beyond, alpha, 0.9) for k in sample_sizes(N)]
    known = [size for size in sizes if size is not None]
    assert known == sorted(known, reverse=True)


def test_a_loss_that_is_next_to_nothing_cannot_be_found() -> None:
    assert prompts_for(Spread(5, 1, 1, N), N, 1e-9, 0.05, 0.9) is None


def test_sizes_stay_near_the_pilots() -> None:
    assert sample_sizes(32) == [8, 16, 32, 64, 128]
    assert sample_sizes(10) == [4, 8, 10, 16, 32]


def test_the_cheapest_split_that_there_are_prompts_for_is_chosen() -> None:
    splits = splits_for(Spread(5, 0.01, 1.0, N), 0.2, 0.05, 0.9, Cost(prompt=10, completion=20))
    assert [split.tokens for split in splits] == sorted(split.tokens for split in splits)
    assert all(split.tokens == split.prompts * (10 + 20 * split.samples) for split in splits)
    free, tight = cheapest(splits, 10_000), cheapest(splits, 100)
    assert free == splits[0]
    assert tight is not None
    assert tight.prompts <= 100
    assert cheapest(splits, 1) == min(splits, key=lambda split: split.prompts)
    assert cheapest([], 100) is None


def test_what_is_enough_for_every_metric_takes_the_most_of_each_size() -> None:
    splits = [[Split(10, 8, 1), Split(5, 16, 1)], [Split(12, 8, 2), Split(4, 16, 2), Split(2, 32, 2)]]
    assert common_splits(splits) == [Split(12, 8, 2), Split(5, 16, 1)]


def test_the_variance_that_is_planned_with_is_large_enough_in_four_of_five_pilots() -> None:
    pilots = np.random.default_rng(0).normal(0, 2, (4000, 30)).var(axis=1, ddof=1) * caution(30)
    assert np.mean(pilots >= 4) == pytest.approx(CAUTION, abs=0.025)  # four standard errors
