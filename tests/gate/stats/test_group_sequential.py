"""Boundaries are the published ones, and keep the level however often one looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from evalkit.gate.decide import decide
from evalkit.gate.stats.group_sequential import Look, _crossings, in_blocks, look_sizes, looks_of, nominal_levels, spent
from tests.sides import allowing, law, side

FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_boundaries_are_the_published_ones() -> None:
    """Five even looks, one-sided 0.025, Pocock's type: as ldbounds and Jennison & Turnbull's programs print them."""
    bounds = scipy_stats.norm.isf(nominal_levels(FIFTHS, 0.025))
    assert bounds == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-4)


def test_one_look_is_the_plain_test() -> None:
    assert nominal_levels((1.0,), 0.05) == pytest.approx([0.05], abs=1e-7)


@given(cuts=st.sets(st.integers(1, 99), max_size=6), alpha=st.floats(0.002, 0.2))
@settings(max_examples=15)
def test_all_looks_together_use_up_the_level_and_none_uses_more_than_its_share(cuts: set[int], alpha: float) -> None:
    fractions = (*(cut / 100 for cut in sorted(cuts)), 1.0)
    levels = nominal_levels(fractions, alpha)
    assert all(level <= spent(alpha, fraction) + 1e-9 for level, fraction in zip(levels, fractions, strict=True))
    assert alpha / len(fractions) <= sum(levels) + 1e-9
    rng = np.random.default_rng(0)
    steps = np.diff([0.0, *fractions])
    paths = (rng.normal(size=(40_000, len(steps))) * np.sqrt(steps)).cumsum(axis=1) / np.sqrt(fractions)
    crossed = (scipy_stats.norm.sf(paths) <= levels).any(axis=1).mean()
    assert crossed == pytest.approx(alpha, abs=4.5 * np.sqrt(alpha / 40_000))


def test_looks_are_spread_evenly_and_the_last_is_after_all() -> None:
    assert look_sizes(68, 5) == (14, 28, 41, 55, 68)
    assert look_sizes(3, 10) == (1, 2, 3)
    assert looks_of((1, 2, 4)) == (0.25, 0.5, 1.0)


def trial(seed: int, loss: float, allowed: float) -> tuple[str, float]:
    """One comparison of two metrics, looked at five times; the verdict and the share of prompts that it took."""
    one, two = law(seed, prompts=60, noise=0.5), law(seed + 100_000, prompts=60, noise=0.5)
    outcome, fraction = "inconclusive", 0.0
    sizes = look_sizes(60, 5)
    for index, size in enumerate(sizes):
        new = {"vendi": (one[0] - loss)[:size], "ead_n": two[0][:size]}
        old = {"vendi": one[1][:size], "ead_n": two[1][:size]}
        look = Look(looks_of(sizes), index)
        here = replace(side(new), look=look)
        outcome = decide(here, side(old), [("tuned", "tuned")], allowing("diversity", absolute=allowed)).outcome
        fraction = look.fraction
        if outcome != "inconclusive":
            break
    return outcome, fraction


@pytest.mark.slow
def test_looking_five_times_keeps_the_error_rate() -> None:
    outcomes = [trial(seed, 0.0, 0.0)[0] for seed in range(400)]
    # Without boundaries it would be about 14 %. Three standard errors.
    assert outcomes.count("regression") / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_large_loss_and_a_clear_pass_stop_early() -> None:
    lost = [trial(seed, 1.0, 0.1) for seed in range(20)]
    assert {outcome for outcome, _ in lost} == {"regression"}
    assert np.mean([fraction for _, fraction in lost]) < 0.5
    kept = [trial(seed, 0.0, 1.0) for seed in range(20)]
    assert {outcome for outcome, _ in kept} == {"pass"}
    assert np.mean([fraction for _, fraction in kept]) < 0.5


def test_standard_errors_are_those_of_all_the_data() -> None:
    """Three standard errors of 60 prompts are fewer of the larger ones of 15: half as many."""
    new, old = law(0, prompts=60)
    short = side({"vendi": new[:15]}), side({"vendi": old[:15]})
    stopped = replace(short[0], look=Look((0.25, 1.0), 0))
    quarter = decide(stopped, short[1], [("tuned", "tuned")], allowing(standard_errors=3))
    half_as_many = decide(*short, [("tuned", "tuned")], allowing(standard_errors=1.5))
    assert quarter.judgements[0].p_within == pytest.approx(half_as_many.judgements[0].p_within)


@pytest.mark.parametrize(("looks", "inflation"), [(2, 1.100), (5, 1.207)])
def test_the_price_of_pococks_constant_boundary_is_the_published_one(looks: int, inflation: float) -> None:
    """Jennison & Turnbull 2000, table 2.2: two-sided 0.05, power 0.9; constants of table 2.1."""
    constant = {2: 2.178, 5: 2.413}[looks]
    fractions = tuple((look + 1) / looks for look in range(looks))
    at_once = scipy_stats.norm.isf(0.025) + scipy_stats.norm.ppf(0.9)
    crossed = sum(_crossings(fractions, [constant] * looks, at_once * np.sqrt(inflation)))
    assert crossed == pytest.approx(0.9, abs=5e-4)


def test_more_prompts_give_the_power_back_and_most_of_them_are_not_asked() -> None:
    plan = in_blocks(FIFTHS, 0.05, 0.9)
    at_once = scipy_stats.norm.isf(0.05) + scipy_stats.norm.ppf(0.9)
    rng = np.random.default_rng(0)
    steps = rng.normal(at_once * np.sqrt(plan.inflation) / 5, np.sqrt(1 / 5), size=(40_000, 5))
    crossed = scipy_stats.norm.sf(steps.cumsum(axis=1) / np.sqrt(FIFTHS)) <= nominal_levels(FIFTHS, 0.05)
    assert crossed.any(axis=1).mean() == pytest.approx(0.9, abs=4.5 * np.sqrt(0.09 / 40_000))
    asked = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 5) / 5
    assert asked.mean() == pytest.approx(plan.used, abs=0.006)
    assert plan.used < 0.6
