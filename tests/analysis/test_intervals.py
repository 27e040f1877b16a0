"""Intervals cover, tests keep their level, corrections agree with their definitions and with scipy."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize
from scipy import stats as scipy_stats

from evalkit.analysis.intervals import (
    Bounds,
    by_cluster,
    contrast_p_values,
    holm,
    mean_intervals,
    mean_p_values,
    resampled_means,
)
from evalkit.plumbing.arrays import Array


def halls(values: Array) -> tuple[float, float]:
    """Hall's (1992) interval by bisection on his transformation of the t statistic, the skewness as evalkit takes it."""
    n, error = len(values), float(scipy_stats.sem(values))
    unbiased = n / ((n - 1) * (n - 2)) * ((values - values.mean()) ** 3).sum()
    a = unbiased / values.std() ** 3 / math.sqrt(n)

    def turned(mean: float) -> float:
        t = (values.mean() - mean) / error
        return float(t + a / 3 * t**2 + a**2 / 27 * t**3 + a / 6)

    critical, far = float(scipy_stats.t.ppf(0.975, n - 1)), 100 * error
    low, high = (
        float(optimize.brentq(lambda mean: turned(mean) - at, values.mean() - far, values.mean() + far))  # noqa: B023
        for at in (critical, -critical)
    )
    return low, high


@pytest.mark.parametrize("turn", [1, -1])
def test_an_interval_is_the_wider_of_student_s_and_hall_s_on_each_side(turn: int) -> None:
    values = turn * np.random.default_rng(3).exponential(size=30)
    [mean] = mean_intervals(values[None, :], 0.95)
    student = scipy_stats.t.interval(0.95, 29, loc=values.mean(), scale=scipy_stats.sem(values))
    hall = halls(values)
    assert (hall[1] > student[1], hall[0] > student[0]) == ((True, True) if turn == 1 else (False, False))
    assert (mean.low, mean.high) == pytest.approx((min(hall[0], student[0]), max(hall[1], student[1])), rel=1e-9)


def test_values_that_are_not_skewed_get_student_s_t() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    mean = mean_intervals(values[None, :], 0.95)[0]
    low, high = scipy_stats.t.interval(0.95, 4, loc=values.mean(), scale=scipy_stats.sem(values))
    assert (mean.low, mean.high) == (pytest.approx(low), pytest.approx(high))


@given(
    values=arrays(
        np.float64,
        st.integers(2, 30),
        elements=st.floats(-2, 2, width=32) | st.sampled_from([-1.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
        fill=st.sampled_from([0.0, 1.0, -0.5]),
    ),
    members=st.integers(1, 3),
    confidence=st.sampled_from([0.9, 0.95, 0.99]),
    bounds=st.sampled_from([None, (-2.0, 2.0), (-math.inf, math.inf), (-math.inf, 2.0), (-2.0, math.inf)]),
)
@settings(max_examples=300)
def test_p_is_below_the_level_exactly_where_the_interval_excludes_0(
    values: Array, members: int, confidence: float, bounds: Bounds | None
) -> None:
    clusters = [str(place // members) for place in range(len(values))]
    [mean] = mean_intervals(values[None, :], confidence, clusters, bounds)
    [p] = mean_p_values(values[None, :], clusters, bounds)
    if not np.isnan(mean.low) and mean.high > mean.low:  # a point is no interval
        assert (p < 1 - confidence) == (mean.low > 0 or mean.high < 0)


def test_undefined_prompts_do_not_count() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    holed = np.concatenate([values, np.full(30, np.nan)])
    mean = mean_intervals(holed[None, :], 0.95)[0]
    alone = mean_intervals(values[None, :], 0.95)[0]
    assert (mean.value, mean.count) == (pytest.approx(alone.value), 50)
    assert mean.high - mean.low == pytest.approx(alone.high - alone.low, rel=0.1)


@pytest.mark.parametrize(("values", "count"), [([], 0), ([np.nan, np.nan], 0), ([np.nan, 2.0], 1)])
def test_too_few_values_have_no_interval(values: list[float], count: int) -> None:
    mean = mean_intervals(np.array([values]), 0.95)[0]
    assert mean.count == count
    assert np.isnan(mean.low)
    assert np.isnan(mean.high)
    assert np.isnan(mean.value) == (count == 0)


def test_a_constant_without_bounds_has_an_interval_of_no_width() -> None:
    mean = mean_intervals(np.full((1, 100), 0.3), 0.95)[0]
    assert mean.low == pytest.approx(0.3, abs=1e-12)
    assert mean.high == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize("prompts", [5, 20, 300])
def test_all_right_answers_leave_room_for_wrong_ones_as_clopper_and_pearson_say(prompts: int) -> None:
    right, wrong = mean_intervals(np.array([np.ones(prompts), np.zeros(prompts)]), 0.95, bounds=(0, 1))
    exact = scipy_stats.binomtest(prompts, prompts).proportion_ci(0.95, "exact")
    assert (right.low, right.high) == pytest.approx((exact.low, 1.0))
    assert (wrong.low, wrong.high) == pytest.approx((0.0, 1 - exact.low))


@given(arrays(np.float64, st.integers(2, 30), elements=st.sampled_from([0.0, 0.0, 0.25, 1.0])))
def test_no_interval_leaves_the_bounds(values: Array) -> None:
    [mean] = mean_intervals(values[None, :], 0.95, bounds=(0, 1))
    assert 0 <= mean.low <= mean.value <= mean.high <= 1


def test_a_side_without_a_bound_leaves_equal_values_as_they_are() -> None:
    [mean] = mean_intervals(np.zeros((1, 20)), 0.95, bounds=(0, math.inf))
    assert (mean.low, mean.high) == (0, 0)


def test_rows_are_estimated_as_if_alone() -> None:
    values = np.random.default_rng(1).normal(size=(3, 30))
    together, alone = mean_intervals(values, 0.95)[1], mean_intervals(values[1:2], 0.95)[0]
    # A matrix product sums one row in another order than three: the last bits differ.
    assert (together.value, together.low, together.high) == pytest.approx(
        (alone.value, alone.low, alone.high), rel=1e-12
    )


def test_without_skewness_p_is_student_s() -> None:
    values = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    assert mean_p_values(values[None, :])[0] == pytest.approx(scipy_stats.ttest_1samp(values, 0).pvalue)


@pytest.mark.parametrize("prompts", [10, 20])
def test_false_alarms_on_skewed_differences_are_near_the_stated_level(prompts: int) -> None:
    differences = np.random.default_rng(7).exponential(size=(4000, prompts)) - 1
    # Flipping signs gave 9.9 % at 10 and 7.7 % at 20. Four standard errors of 4000 trials are 1.4 %.
    assert np.mean(mean_p_values(differences) < 0.05) <= 0.05 + 0.014


def test_a_difference_of_nothing_is_no_evidence() -> None:
    assert mean_p_values(np.zeros((1, 40)))[0] == 1.0
    assert np.isnan(mean_p_values(np.array([[0.4]]))[0])


def test_equal_differences_are_as_sure_as_their_number() -> None:
    assert mean_p_values(np.full((1, 100), 1.0))[0] == pytest.approx(2.0**-99)
    assert mean_p_values(np.full((1, 100), 0.1), bounds=(-1, 1))[0] == pytest.approx(2 * (1 / 1.1) ** 100)


def test_bounds_at_infinity_are_none() -> None:
    unbounded = mean_p_values(np.full((1, 100), -1.0), bounds=(-math.inf, math.inf))
    assert unbounded == mean_p_values(np.full((1, 100), -1.0)) == pytest.approx(2.0**-99)
    [equal] = mean_intervals(np.full((1, 5), 3.0), 0.95, bounds=(-math.inf, math.inf))
    assert (equal.low, equal.high) == (3.0, 3.0)


def test_a_p_value_is_never_zero() -> None:
    assert mean_p_values(1e9 + np.arange(3000.0)[None, :])[0] > 0


def test_rounding_is_no_spread() -> None:
    differences = np.array([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 0.3])
    assert mean_p_values(differences[None, :])[0] == pytest.approx(2**-5)


def test_holm_is_the_textbook_procedure() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1, made monotone: .04 .06 .06 .06.
    adjusted = holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02]))
    assert adjusted[[1, 4, 0, 3]] == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert np.isnan(adjusted[2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    given_p = np.array(p_values)
    adjusted = holm(given_p)
    assert (adjusted >= given_p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(given_p, kind="stable")]) >= 0).all()


def test_many_rows_of_differences_are_tested_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(0.2, size=(4, 40))
    rows[1, 5:] = np.nan  # few enough to be enumerated
    rows[2, :10] = np.nan
    rows[3] = np.nan
    together = mean_p_values(rows)
    assert together[:3] == pytest.approx([mean_p_values(row[None, :])[0] for row in rows[:3]])
    assert together[1] == pytest.approx(mean_p_values(rows[1:2, :5])[0])
    assert np.isnan(together[3])


@given(data=st.data(), sizes=st.lists(st.integers(1, 4), min_size=2, max_size=8))
def test_numbers_of_clusters_have_the_mean_over_prompts_and_the_jackknife_s_error(
    data: st.DataObject, sizes: list[int]
) -> None:
    values = data.draw(arrays(np.float64, sum(sizes), elements=st.floats(-5, 5)))
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(0).permutation(len(values))
    [found] = by_cluster(values[None, order], [str(name) for name in clusters[order]])
    without = np.array([values[clusters != name].mean() for name in range(len(sizes))])
    error = math.sqrt((len(sizes) - 1) / len(sizes) * ((without - without.mean()) ** 2).sum())
    assert len(found) == len(sizes)
    assert found.mean() == pytest.approx(values.mean(), abs=1e-9)
    assert scipy_stats.sem(found) == pytest.approx(error, abs=1e-9)


def test_clusters_of_one_prompt_change_nothing_and_one_cluster_of_all_has_no_interval() -> None:
    values = np.random.default_rng(0).normal(size=(2, 6))
    assert mean_intervals(values, 0.95, list("abcdef")) == mean_intervals(values, 0.95)
    [mean, _] = mean_intervals(values, 0.95, ["a"] * 6)
    assert (mean.value, mean.count, np.isnan(mean.low)) == (pytest.approx(values[0].mean()), 6, True)


def test_undefined_prompts_leave_their_cluster_with_the_others() -> None:
    values = np.array([[1.0, np.nan, 2.0, 4.0, np.nan, np.nan, 7.0]])
    holed = by_cluster(values, list("aabbccd"))
    assert np.isnan(holed[0]).tolist() == [False, False, True, False]
    assert holed[0, [0, 1, 3]] == pytest.approx(by_cluster(values[:, [0, 2, 3, 6]], list("abbd"))[0])


@pytest.mark.parametrize("prompts", [12, 40])
def test_resampled_means_spread_as_intervals_say(prompts: int) -> None:
    values = np.random.default_rng(6).lognormal(size=(prompts, 3))
    low, high = np.quantile(resampled_means(values), [0.025, 0.975], axis=0)
    means = mean_intervals(values.T, 0.95)
    assert low == pytest.approx([mean.low for mean in means], rel=0.01)
    assert high == pytest.approx([mean.high for mean in means], rel=0.01)


def test_resampled_means_of_one_prompt_that_differs_spread_so_too() -> None:
    # A third of the resamples miss it, and tie.
    values = np.zeros((64, 1))
    values[5] = -1.0
    low, high = np.quantile(resampled_means(values)[:, 0], [0.025, 0.975])
    [mean] = mean_intervals(values.T, 0.95)
    assert (low, high) == (pytest.approx(mean.low, rel=0.01), pytest.approx(mean.high, rel=0.01))
    assert low < 0 < high


def test_resampled_means_of_two_columns_move_together() -> None:
    first = np.random.default_rng(6).normal(size=30)
    drawn = resampled_means(np.column_stack([first, 2 * first + 1, -first, np.full(30, 7.0)]))
    assert drawn[:, 1] == pytest.approx(2 * drawn[:, 0] + 1)
    assert drawn[:, 2] == pytest.approx(-drawn[:, 0])
    assert set(drawn[:, 3]) == {7.0}


def test_twenty_metrics_of_five_hundred_prompts_take_under_two_seconds() -> None:
    values = np.random.default_rng(0).normal(size=(20, 501))  # a number of prompts that no other test has drawn for
    started = time.process_time()
    mean_intervals(values, 0.95)
    mean_p_values(values)
    assert time.process_time() - started < 2.0


def test_ten_thousand_prompts_take_a_few_seconds_and_little_memory() -> None:
    values = np.random.default_rng(0).normal(size=(20, 10_000))
    tracemalloc.start()
    started = time.process_time()
    try:
        mean_intervals(values, 0.95)
        mean_p_values(values)
        resampled_means(values.T)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 15  # under tracemalloc, on a machine that does other things too
    assert most < 500e6  # a table of all resamples alone would be 800e6


def test_two_means_are_compared_by_welch_where_nothing_is_skewed_and_the_few_vary_more() -> None:
    here, there = 9 * np.array([-2.0, -1, 0, 1, 2]) + 10, np.arange(-20.0, 21) / 10
    welch = scipy_stats.ttest_ind(here, there, equal_var=False).pvalue
    assert contrast_p_values(here[None], there[None])[0] == pytest.approx(welch, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_few_skewed_values_among_many_are_held_to_the_permutation_test(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(size=21)
    here, there = np.sort(values)[-4:], np.sort(values)[:-4]
    exact = scipy_stats.permutation_test(
        (here, there), lambda one, other, axis: one.mean(axis) - other.mean(axis), n_resamples=np.inf, vectorized=True
    ).pvalue
    # 5 985 ways to choose four of 21; a curve with their first three moments is off by a few of them at their end.
    assert contrast_p_values(here[None], there[None])[0] >= 0.5 * exact
    assert contrast_p_values(-here[None], -there[None])[0] == pytest.approx(
        contrast_p_values(here[None], there[None])[0]
    )


@pytest.mark.parametrize("draw", ["normal", "exponential"])
@pytest.mark.parametrize("sizes", [(5, 95), (12, 108), (40, 40)])
def test_two_equal_means_are_called_different_as_often_as_stated(draw: str, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    here, there = (getattr(rng, draw)(size=(6000, size)) for size in sizes)
    p = contrast_p_values(here, there)
    for level in (0.05, 0.01, 0.001):
        assert np.mean(p < level) <= level + 3 * math.sqrt(level / 6000)


def test_of_equal_values_on_both_sides_the_chance_to_be_divided_so_is_told() -> None:
    here, there = np.full((1, 5), -1.0), np.zeros((1, 7))
    assert contrast_p_values(here, there)[0] == pytest.approx(2 / math.comb(12, 5))
    assert contrast_p_values(there[:, :5], there)[0] == 1
    assert np.isnan(contrast_p_values(here[:, :1], there)[0])
    # Five equal losses are no sign that there is no spread: they are taken to vary as the rest does.
    assert contrast_p_values(here, np.random.default_rng(0).normal(size=(1, 30)))[0] > 1e-3


def test_wordings_of_one_question_are_one_draw_of_a_contrast_too() -> None:
    rng = np.random.default_rng(2)
    here, there = (np.repeat(rng.normal(size=(3000, size)), 5, axis=1) for size in (6, 18))
    inside, outside = ([f"{side}{row // 5}" for row in range(5 * size)] for side, size in (("a", 6), ("b", 18)))
    assert np.mean(contrast_p_values(here, there, inside, outside) < 0.05) < 0.06
    assert np.mean(contrast_p_values(here, there) < 0.05) > 0.2
