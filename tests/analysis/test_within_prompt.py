"""Single prompts: errors by the jackknife agree with their definition, and tests with Fisher's and Welch's of scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evalkit.analysis.within_prompt import (
    PromptTests,
    jackknife_error,
    measures_with_errors,
    prompt_tests,
    score_errors,
)
from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import Estimate
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.records import Completion, Group, Prompt


def group(*texts: str) -> Group:
    return Group(Prompt("p", "?"), tuple(Completion("p", i, text, (), (), "stop") for i, text in enumerate(texts)))


def estimate(values: Array, errors: Array | None, samples: int = 16, bounds: tuple[float, float] = (0, 1)) -> Estimate:
    return Estimate(
        "m", "s", "arm", 0.0, None, None, 0.95, len(values), samples, "higher", tuple(map(finite_or_none, values)),
        Traits("quality", bounds=bounds), () if errors is None else tuple(map(finite_or_none, errors)),
    )  # fmt: skip


def compared(here: Estimate, there: Estimate) -> PromptTests:
    found = prompt_tests(here, there)
    assert found is not None
    return found


def test_the_error_is_the_jackknife_s_of_leaving_each_completion_out() -> None:
    texts = ["a b c", "a b d", "a x c d", "e f"]
    measure = parse("distinct_n")
    without = [measure(group(*texts[:i], *texts[i + 1 :])) for i in range(4)]
    expected = math.sqrt(3 / 4 * sum((value - np.mean(without)) ** 2 for value in without))
    assert jackknife_error(measure, group(*texts)) == pytest.approx(expected)
    assert math.isnan(jackknife_error(measure, group("a b", "c d")))


def test_a_score_s_error_is_that_of_a_mean_and_unknown_of_one() -> None:
    errors = score_errors([np.array([1.0, 2.0, 4.0]), np.array([1.0, np.nan, 3.0]), np.array([2.0])])
    assert errors[:2] == pytest.approx([scipy_stats.sem([1, 2, 4]), 1.0])
    assert math.isnan(errors[2])


def test_of_each_family_the_measure_that_readers_picture_is_tested_by_prompt() -> None:
    names = [
        "self_bleu",
        "distinct_n",
        "matched/distinct_n",
        "embedding_distance",
        "useful/distinct_n",
        "vendi",
        "length",
    ]
    chosen = measures_with_errors([parse(name) for name in names])
    assert [str(measure) for measure in chosen] == ["distinct_n", "matched/distinct_n", "embedding_distance"]


def test_right_and_wrong_answers_have_fisher_s_exact_test() -> None:
    k, right = 16, np.array([[8, 16, 0, 16, 3], [1, 0, 0, 15, 3]])
    shares = right / k
    errors = np.sqrt(shares * (1 - shares) / (k - 1))
    found = compared(estimate(shares[0], errors[0]), estimate(shares[1], errors[1]))
    for row in range(right.shape[1]):
        table = [[right[0, row], k - right[0, row]], [right[1, row], k - right[1, row]]]
        assert found.p[row] == pytest.approx(scipy_stats.fisher_exact(table).pvalue, rel=1e-9)
    # Sixteen against none is sure, and yet no difference of 1 without an interval.
    low, high = found.interval(1, 0.05)
    assert 0.5 < low < 1 <= high + 0.1


def test_others_have_welch_s_with_errors_no_smaller_than_the_arm_s_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(2, 1, 12))
    here, there = (estimate(arm.mean(axis=1), arm.std(axis=1, ddof=1) / math.sqrt(12), 12, (-9, 9)) for arm in drawn)
    welch = scipy_stats.ttest_ind(drawn[0, 0], drawn[1, 0], equal_var=False)
    assert compared(here, there).p[0] == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval(0.95)
    assert compared(here, there).interval(0, 0.05) == pytest.approx((interval.low, interval.high))
    # Two prompts of which one shows no spread at all: it is not taken to be sure.
    values = np.array([0.3, 0.5])
    found = compared(estimate(values, np.array([0.0, 0.2])), estimate(values - 0.1, np.array([0.0, 0.2])))
    assert found.spread[0] == pytest.approx(math.sqrt(2 * 0.2**2 / 2))
    assert found.p.min() > 0.1


def test_what_cannot_be_tested_is_not() -> None:
    values = np.array([0.25, 0.5, np.nan])
    errors = np.array([0.1, np.nan, 0.1])
    assert prompt_tests(estimate(values, None), estimate(values, errors)) is None
    assert prompt_tests(estimate(values, errors, samples=3), estimate(values, errors, samples=3)) is None
    assert np.isnan(compared(estimate(values, errors), estimate(values, errors)).p).tolist() == [False, True, True]
    # No spread anywhere: nothing is known of how much other completions would differ.
    none = np.zeros(3)
    assert np.isnan(
        compared(estimate(values, none, bounds=(0, 9)), estimate(values - 0.1, none, bounds=(0, 9))).p
    ).all()
