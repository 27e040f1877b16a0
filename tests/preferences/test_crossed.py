from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.intervals import mean_intervals
from evalkit.preferences.crossed import Codes, codes_of, crossed_intervals, effective_number
from evalkit.records import CONFIDENCE


def codes(*numbers: int) -> Codes:
    return np.array(numbers, dtype=np.int64)


def means(values: list[float], prompts: Codes, raters: Codes) -> tuple[float, float, float, bool]:
    given_values = np.array(values)
    moves = ((given_values - given_values.mean()) / len(values))[:, None]
    [found] = crossed_intervals(given_values.mean(keepdims=True), moves, prompts, raters)
    return found.value, found.low, found.high, found.of_these_raters


def test_one_vote_a_prompt_of_few_raters_is_a_mean_over_prompts() -> None:
    values = [0.0, 1.0, 0.5, 1.0, 1.0, 0.0]
    [expected] = mean_intervals(np.array([values]), CONFIDENCE)
    value, low, high, few = means(values, codes(0, 1, 2, 3, 4, 5), codes(0, 1, 0, 1, 0, 1))
    assert (value, low, high) == pytest.approx((expected.value, expected.low, expected.high))
    assert few


def test_raters_with_a_vote_each_add_nothing_to_what_prompts_spread() -> None:
    values = [0.0, 1.0, 0.5, 1.0, 1.0, 0.0]
    [expected] = mean_intervals(np.array([values]), CONFIDENCE)
    assert means(values, codes(0, 1, 2, 3, 4, 5), codes(0, 1, 2, 3, 4, 5))[1:3] == pytest.approx(
        (expected.low, expected.high)
    )


def test_raters_who_lean_widen_the_interval_as_two_way_clustering_says() -> None:
    """Cameron, Gelbach & Miller (2011): raters' variance less that of their intersection with prompts, by hand."""
    raters, prompts = np.repeat(np.arange(5), 4), np.tile(np.arange(4), 5)
    values = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 4)
    value, low, high, few = means(values.tolist(), prompts, raters)
    # Prompts have one mean, so all that is left is the raters': 2.5 / 4 / 5 of their means, less 20 cells' of 1/20 each.
    between = sum((rater / 4 - 0.5) ** 2 for rater in range(5)) / 25 * 5 / 4
    within = sum((one - 0.5) ** 2 for one in values) / 400 * 20 / 19
    reach = 2.776445 * (between - within) ** 0.5  # Student's quantile for 4 degrees of freedom
    assert (value, low, high) == pytest.approx((0.5, 0.5 - reach, 0.5 + reach), rel=1e-5)
    assert not few


def test_four_busy_raters_and_one_idle_are_few() -> None:
    busy = np.repeat([0, 1, 2, 3, 4], [20, 20, 20, 20, 1])
    assert effective_number(busy) == pytest.approx(81**2 / 1601)
    values = np.linspace(0, 1, 81).tolist()
    assert means(values, np.arange(81), busy)[3]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_codes_have_no_gaps_and_tell_names_apart(names: list[str]) -> None:
    found = codes_of(names).tolist()
    assert sorted(set(found)) == list(range(len(set(names))))
    assert len(set(zip(names, found, strict=True))) == len(set(names))
