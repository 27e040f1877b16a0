"""Where a path meets zero: by closed form on straight lines, by a test's own answer between, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from evalkit.analysis.decoding.zeros import zeros
from evalkit.plumbing.arrays import Array


def spread(means: list[float], units: int = 40, seed: int = 0) -> Array:
    """(S, units) with exactly these means, and an error that all settings share."""
    noise = np.random.default_rng(seed).normal(size=units)
    return np.array(means)[:, None] + (noise - noise.mean())


def test_a_straight_path_meets_zero_where_the_line_does() -> None:
    found = zeros((0.5, 1.0, 2.0), spread([-1.0, -0.25, 0.75]))
    assert found.points == (pytest.approx(1.25),)


def test_the_span_ends_where_student_s_interval_ends_at_zero() -> None:
    # The error is the same at every setting, so that the span is Student's interval over the slope.
    values = spread([-1.0, 1.0])
    noise = stats.sem(values[0]) * stats.t.ppf(0.975, 39)
    [(low, high)] = zeros((1.0, 2.0), values).spans
    # Hall's correction for skewness may widen either side a little.
    assert high - low == pytest.approx(noise, rel=0.1)
    assert (low + high) / 2 == pytest.approx(1.5, abs=0.02)


def test_a_path_may_meet_zero_several_times() -> None:
    found = zeros(range(4), spread([-1.0, 1.0, -1.0, 1.0], units=400))
    assert found.points == pytest.approx((0.5, 1.5, 2.5))
    assert len(found.spans) == 3
    assert all(low < point < high for (low, high), point in zip(found.spans, found.points, strict=True))


def test_a_point_of_the_path_that_is_zero_is_met_once() -> None:
    assert zeros(range(3), np.zeros((3, 5)) + np.array([[-1.0], [0.0], [1.0]])).points == (1.0,)


def test_a_path_that_is_clearly_away_has_nothing() -> None:
    found = zeros((0.6, 1.4), spread([2.0, 1.5], units=400))
    assert (found.points, found.spans) == ((), ())


def test_a_path_that_nearly_reaches_zero_says_from_where_it_may() -> None:
    found = zeros((0.0, 1.0), spread([2.0, 0.1]))
    assert found.points == ()
    [(low, high)] = found.spans
    assert 0.5 < low < 1.0
    assert high == pytest.approx(1.0)


def test_one_prompt_tells_where_but_not_how_surely() -> None:
    assert zeros((0.0, 1.0), np.array([[-1.0], [1.0]])).spans == ((0.5, 0.5),)


@given(arrays(float, (4, 6), elements=st.floats(-5, 5).map(lambda x: round(x, 3))), st.floats(0.01, 3))
def test_units_of_the_measure_do_not_matter_and_every_point_is_in_a_span(values: Array, scale: float) -> None:
    once, scaled = zeros(range(4), values), zeros(range(4), values * scale)
    assert scaled.points == pytest.approx(once.points, abs=1e-9)
    assert all(any(low - 1e-9 <= point <= high + 1e-9 for low, high in once.spans) for point in once.points)
    assert all(0 <= low <= high <= 3 for low, high in once.spans)
