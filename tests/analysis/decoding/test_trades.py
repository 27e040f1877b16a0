"""One measure where another is the baseline's: by closed form, at bends, and never beyond what was drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.analysis.decoding.trades import met, read_where_equal, resample, turned
from evalkit.metrics.decoding import Ranged
from evalkit.plumbing.arrays import Array


def rows(*values: float) -> Array:
    return np.array([values], dtype=float)


def paths(level: list[float], offer: list[float], units: int = 200, seed: int = 0) -> tuple[Array, Array]:
    """(A, units) twice with exactly these means; a prompt's sway is common to all arms, the rest their own."""
    rng = np.random.default_rng(seed)

    def about(means: list[float]) -> Array:
        noise = rng.normal(size=(1, units)) + 0.3 * rng.normal(size=(len(means), units))
        return np.array(means)[:, None] + noise - noise.mean(axis=1, keepdims=True)

    return about(level), about(offer)


def test_the_offer_is_read_on_the_line_between_two_settings() -> None:
    places, offers = met(rows(-1, 3), rows(2, 0))
    assert (places[0], offers[0]) == (pytest.approx(0.25), pytest.approx(1.5))


def test_of_several_places_the_best_is_taken() -> None:
    places, offers = met(rows(-1, 1, -1, 1), rows(0, 1, 5, 0))
    assert (places[0], offers[0]) == (pytest.approx(1.5), pytest.approx(3.0))


def test_where_the_level_is_met_nowhere_there_is_no_offer() -> None:
    places, offers = met(rows(1, 2, 3), rows(0, 0, 0))
    assert math.isnan(places[0])
    assert math.isnan(offers[0])


def test_a_path_that_ends_where_they_are_equal_meets_there() -> None:
    assert met(rows(-1, 0), rows(3, 2))[1][0] == 2.0


def test_many_resamples_at_once_are_each_read_alone() -> None:
    rng = np.random.default_rng(3)
    levels, offers = rng.normal(size=(2, 60, 5))
    together = met(levels, offers)
    alone = [met(levels[row : row + 1], offers[row : row + 1]) for row in range(60)]
    assert together[0] == pytest.approx([place[0] for place, _ in alone], nan_ok=True)
    assert together[1] == pytest.approx([offer[0] for _, offer in alone], nan_ok=True)


def test_the_same_diversity_costs_what_the_line_says() -> None:
    # Diversity rises -0.5, 0, 0.5 about the baseline's; quality 1.5, 1, 0.8 above it: at equal diversity 1, which is 0.5
    # below what the first arm, the start, has.
    diversity, quality = paths([-0.5, 0.0, 0.5], [1.5, 1.0, 0.8])
    found = read_where_equal(resample([quality, diversity]), [0, 1, 2], start=0, level=1, offer=0)
    assert found.place == pytest.approx(1.0)
    for ranged, value in ((found.against_baseline, 1.0), (found.against_start, -0.5)):
        assert ranged.value == pytest.approx(value)
        assert ranged.low is not None
        assert ranged.high is not None
        assert ranged.low < value < ranged.high
    reverse = read_where_equal(resample([quality - 1, diversity]), [0, 1, 2], start=0, level=0, offer=1)
    assert reverse.against_baseline.value == pytest.approx(0.0, abs=1e-9)


def test_a_start_beside_the_path_is_what_a_change_is_counted_from() -> None:
    diversity, quality = paths([-0.5, 0.5, -0.7], [1.5, 0.5, 2.0])
    found = read_where_equal(resample([quality, diversity]), [0, 1], start=2, level=1, offer=0)
    assert found.against_start.value == pytest.approx(1.0 - 2.0)


def test_a_crossing_that_many_resamples_lack_has_no_interval() -> None:
    diversity, quality = paths([-2.0, 0.02], [1.0, 0.5], units=20)
    found = read_where_equal(resample([quality, diversity]), [0, 1], start=0, level=1, offer=0)
    assert found.against_baseline.value is not None
    assert (found.against_baseline.low, found.against_baseline.high) == (None, None)


def test_nothing_is_extrapolated_and_one_prompt_has_no_interval() -> None:
    diversity, quality = paths([-2.0, -1.0], [1.0, 0.5])
    assert read_where_equal(resample([quality, diversity]), [0, 1], 0, 1, 0).against_baseline == Ranged(
        None, None, None
    )
    alone = read_where_equal(resample([quality[:, :1] * 0 + 1, np.array([[-1.0], [1.0]])]), [0, 1], 0, 1, 0)
    assert alone.against_baseline == Ranged(1.0, None, None)


def test_a_measure_that_is_better_low_is_told_in_its_own_sign() -> None:
    assert turned(Ranged(1.0, 0.5, 2.0), -1) == Ranged(-1.0, -2.0, -0.5)
    assert turned(Ranged(1.0, None, None), -1) == Ranged(-1.0, None, None)
    assert turned(Ranged(1.0, 0.5, 2.0), 1) == Ranged(1.0, 0.5, 2.0)
