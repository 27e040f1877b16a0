"""Numbers have the digits that their intervals deserve, and equal values no interval that looks sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.intervals import Mean, mean_intervals
from evalkit.metrics.summary import Difference
from evalkit.report.wording import (
    NO_SPREAD,
    beside,
    deviations,
    interval_text,
    interval_words,
    rate_text,
    value_text,
    with_level,
)


def difference(*values: float) -> Difference:
    [mean] = mean_intervals(np.array([values]), 0.95)
    return Difference("distinct_k", "s", "tuned", "base", mean.value, mean.low, mean.high, 0.5, 1.0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param((1.0, 1.0), "+1.00", id="two equal differences"),
        pytest.param((0.0, 0.0), "0.00", id="two of nothing"),
        pytest.param((0.5708874458874458, 0.5708874458874459), "+0.571", id="equal but for rounding"),
        pytest.param((-1234.6,) * 30, "−1,235", id="many equal ones"),
    ],
)
def test_equal_values_have_no_interval_and_three_digits(values: tuple[float, ...], told: str) -> None:
    assert (value_text(difference(*values), signed=True), interval_text(difference(*values))) == (told, NO_SPREAD)


def test_a_joint_difference_that_is_equal_on_every_prompt_has_no_interval() -> None:
    assert deviations(2.0, 2.0, 2.0) == ("+2.00", NO_SPREAD)
    assert deviations(-0.42, -0.6, -0.24) == ("−0.42", "−0.60 to −0.24")


def test_values_that_vary_have_the_interval_that_they_had() -> None:
    found = difference(0.9, 1.1, 1.0)
    assert (value_text(found, signed=True), interval_text(found)) == ("+1.0", "0.8 to 1.2")


@pytest.mark.parametrize(
    ("rate", "told"),
    [(0.0, "0"), (0.0421, "0.042"), (0.2, "0.20"), (2.0, "2.0"), (61.4, "61"), (123.4, "123"), (1000.0, "1,000")],
)
def test_a_rate_has_two_digits_and_is_never_a_power_of_ten(rate: float, told: str) -> None:
    assert rate_text(rate) == told


def test_an_interval_reads_as_prose_where_there_is_none() -> None:
    assert interval_words(difference(1.0, 1.0)) == "no 95 % interval: equal on every prompt"
    assert interval_words(difference(0.9, 1.1, 1.0)) == "95 % interval 0.8 to 1.2"
    assert [with_level(said, names_level=False) for said in ("0.8 to 1.2", NO_SPREAD, "")] == [
        "0.8 to 1.2",
        "equal on every prompt",
        "no 95 % interval",
    ]


def test_an_interval_that_excludes_zero_is_seen_to() -> None:
    assert interval_text(Mean(1.0, 0.03, 2.1, 9)) == "0.03 to 2.10"
    assert interval_text(Mean(-1.0, -2.1, -0.004, 9)) == "−2.100 to −0.004"
    assert interval_text(Mean(1.0, -0.03, 2.1, 9)) == "0.0 to 2.1"
    assert interval_text(Mean(1.0, 0.0, 2.1, 9)) == "0.0 to 2.1"
    assert deviations(0.2, 0.003, 0.4) == ("+0.200", "0.003 to 0.400")


def test_what_is_known_exactly_has_the_digits_of_what_it_stands_beside() -> None:
    rough, fine = Mean(0.69, 0.5, 0.9, 9), Mean(0.693, 0.69, 0.696, 9)
    assert [beside(0.6931, *numbers) for numbers in ([rough], [fine], [rough, fine])] == ["0.7", "0.693", "0.693"]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_an_interval_with_a_width_is_always_shown(low: float, width: float) -> None:
    assert " to " in interval_text(Mean(low + width / 2, low, low + width, 9))
