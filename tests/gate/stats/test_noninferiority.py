"""Paired tests against a margin: they agree with scipy's, with their own intervals, and keep their error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from evalkit.gate.stats.noninferiority import change, p_values, prompts_needed, shifted, turned, weigh
from evalkit.records import Margin
from tests.sides import law


def test_an_absolute_margin_is_scipys_one_sample_test_against_it() -> None:
    new, base = law(0)
    found = weigh(new, base, Margin("absolute", 0.05))
    within = scipy_stats.ttest_1samp(new - base, -0.05, alternative="greater").pvalue
    beyond = scipy_stats.ttest_1samp(new - base, -0.05, alternative="less").pvalue
    # Never smaller; larger on the side that what skewness the values show speaks against.
    assert (found.within, found.beyond) == (pytest.approx(within, rel=0.1), pytest.approx(beyond, rel=0.1))
    assert found.within >= within * (1 - 1e-9)
    assert found.beyond >= beyond * (1 - 1e-9)


@pytest.mark.parametrize("unit", ["absolute", "relative"])
@pytest.mark.parametrize("turn", [1, -1])
def test_skewed_differences_are_judged_as_often_wrongly_as_alpha_says(unit: str, turn: int) -> None:
    rng = np.random.default_rng(2)
    wrong = np.zeros(2)
    for _ in range(1500):
        base = rng.normal(5, 1, 20)
        new = base - 0.5 + turn * (rng.exponential(size=20) - 1)
        found = weigh(new, base, Margin(unit, 0.5 if unit == "absolute" else 0.1))  # type: ignore[arg-type]
        wrong += [found.within <= 0.05, found.beyond <= 0.05]
    # Student's t alone errs in 11 % on one side. 1500 trials tell 6 % to 1.2 % (two standard errors).
    assert max(wrong) / 1500 <= 0.075


@given(seed=st.integers(0, 300), turn=st.sampled_from([1, -1]), unit=st.sampled_from(["absolute", "relative"]))
@settings(max_examples=60)
def test_bounds_of_skewed_differences_agree_with_their_tests(seed: int, turn: int, unit: str) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(5, 1, 12)
    new = base + turn * rng.lognormal(size=12)
    moved = change(new, base, unit, 0.05)  # type: ignore[arg-type]
    for bound, side in ((moved.low, "within"), (moved.high, "beyond")):
        at = weigh(new, base, Margin(unit, -bound))  # type: ignore[arg-type]
        assert getattr(at, side) == pytest.approx(0.05, abs=1e-6)


def test_no_margin_in_standard_errors_is_the_plain_t_test() -> None:
    new, base = law(1)
    assert weigh(new, base, Margin("standard_errors", 0)) == weigh(new, base, Margin("absolute", 0))


def test_a_loss_of_just_the_allowed_standard_errors_is_called_a_regression_as_often_as_alpha_says() -> None:
    rng = np.random.default_rng(0)
    prompts, allowed, trials = 10, 3.0, 20_000
    draws = rng.normal(-allowed / math.sqrt(prompts), 1, (trials, prompts))
    t = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(prompts)
    cut = scipy_stats.nct(prompts - 1, -allowed).ppf(0.05)
    assert p_values(float(cut), prompts, allowed).beyond == pytest.approx(0.05, abs=1e-6)
    # Four standard errors of 20 000 trials are 0.6 %; Student's own quantile would give 10 %.
    assert np.mean(t < cut) == pytest.approx(0.05, abs=0.006)


@given(
    seed=st.integers(0, 1000),
    margin=st.floats(0, 0.3),
    unit=st.sampled_from(["absolute", "relative"]),
    better=st.sampled_from(["higher", "lower"]),
)
@settings(max_examples=60)
def test_the_interval_says_what_the_tests_say(seed: int, margin: float, unit: str, better: str) -> None:
    new, base = (turned(values, better) for values in law(seed, prompts=12))  # type: ignore[arg-type]
    tested = weigh(new, base, Margin(unit, margin))  # type: ignore[arg-type]
    moved = change(new, base, unit, 0.05)  # type: ignore[arg-type]
    assert (tested.within < 0.05) == (moved.low > -margin)
    assert (tested.beyond < 0.05) == (moved.high < -margin)


def test_a_share_is_one_of_the_baselines_mean_and_may_rise_where_lower_is_better() -> None:
    base = np.array([0.4, 0.6])
    worse = turned(base * 1.05, "lower")
    assert shifted(worse, turned(base, "lower"), Margin("relative", 0.05)).mean() == pytest.approx(0, abs=1e-15)
    assert change(worse, turned(base, "lower"), "relative", 0.05).value == pytest.approx(-0.05)


def test_the_interval_of_a_share_covers_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        base = rng.normal(4, 1, 15)
        moved = change(0.9 * base + rng.normal(0, 0.5, 15), base, "relative", 0.05)
        inside += moved.low <= -0.1 <= moved.high
    assert inside / 2000 == pytest.approx(0.90, abs=0.027)  # four standard errors


@pytest.mark.parametrize(
    ("new", "base"),
    [
        pytest.param([1.0], [2.0], id="one prompt"),
        pytest.param([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], id="the same run twice"),
        pytest.param([1.5, 2.5, 3.5], [1.0, 2.0, 3.0], id="the same difference everywhere"),
        pytest.param([0.1 + 0.2, 1.3], [0.3, 1.3], id="equal but for rounding"),
    ],
)
@pytest.mark.parametrize("unit", ["absolute", "relative", "standard_errors"])
def test_differences_without_spread_prove_nothing(new: list[float], base: list[float], unit: str) -> None:
    found = weigh(np.array(new), np.array(base), Margin(unit, 0.5))  # type: ignore[arg-type]
    assert math.isnan(found.within)
    assert math.isnan(found.beyond)


def test_the_prompts_it_asks_for_settle_the_verdict_about_as_often_as_it_says() -> None:
    new, base = law(3, prompts=200, noise=1.0)
    new = new - (new - base).mean()  # no loss at all, of 0.2 allowed
    needed = prompts_needed(new, base, Margin("absolute", 0.2), 0.05)
    assert needed is not None
    rng = np.random.default_rng(0)
    settled = 0
    for _ in range(1000):
        drawn = rng.integers(0, 200, needed)
        settled += weigh(new[drawn], base[drawn], Margin("absolute", 0.2)).within < 0.05
    assert settled / 1000 == pytest.approx(0.8, abs=0.05)


def test_no_number_of_prompts_settles_a_loss_of_exactly_what_is_allowed() -> None:
    base = np.arange(8.0)
    assert prompts_needed(base + np.tile([1, -1], 4), base, Margin("absolute", 0), 0.05) is None


def test_of_few_prompts_it_is_not_said_how_many_would_do() -> None:
    rng = np.random.default_rng(0)
    base, new = rng.normal(size=8), rng.normal(size=8)
    named = [prompts_needed(new[:count], base[:count], Margin("absolute", 0), 0.05) for count in (2, 7, 8)]
    assert [needed is None for needed in named] == [True, True, False]
