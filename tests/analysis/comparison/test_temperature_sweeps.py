"""Temperature sweeps are read where they are equal: by closed form, by simulation, and never beyond what was drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.analysis.comparison.temperature_sweeps import gaps, offered, read_sweeps
from evalkit.analysis.estimates import Measured
from tests.analysis.comparison.worlds import arm

TEMPERATURES = (0.5, 0.75, 1.0)


def rows(*values: float) -> np.ndarray:
    return np.array([values], dtype=float)


@pytest.mark.parametrize(
    ("at", "offer"),
    [(3.0, 1.0), (2.5, 1.5), (2.0, 2.0), (1.0, 4.0), (1.5, 3.0), (0.5, 4.0)],
)
def test_a_straight_path_offers_what_lies_on_it(at: float, offer: float) -> None:
    # Quality falls 3, 2, 1 while diversity rises 1, 2, 4; below the lowest quality nothing more is offered.
    assert offered(rows(3, 2, 1), rows(1, 2, 4), rows(at)) == pytest.approx(offer)


def test_a_path_that_turns_back_offers_the_best_that_is_good_enough() -> None:
    # Diversity 1, 5, 3 at quality 3, 2, 1: at quality 1 the middle point serves better than the last.
    assert offered(rows(3, 2, 1), rows(1, 5, 3), rows(1.0, 2.0, 2.5)) == pytest.approx(rows(5, 5, 3))


@given(arrays(float, (1, 4), elements=st.floats(-5, 5)), arrays(float, (1, 4), elements=st.floats(-5, 5)))
def test_asking_for_more_quality_never_offers_more_diversity(levels: np.ndarray, offers: np.ndarray) -> None:
    at = np.linspace(levels.min(), levels.max(), 9)[None, :]
    found = offered(levels, offers, at)
    assert (np.diff(found) <= 1e-9).all()
    assert (found <= offers.max() + 1e-9).all()


def test_parallel_paths_are_apart_by_their_distance_over_the_common_range() -> None:
    # d = 5 - q against d = 3 - q, over q in [2, 3] alone.
    gap, start, end = gaps((rows(4, 2), rows(3, 1)), (rows(1, 3), rows(0, 2)))
    assert (gap[0], start[0], end[0]) == (pytest.approx(2.0), 2.0, 3.0)


def test_paths_that_cross_in_the_middle_are_even() -> None:
    gap, _, _ = gaps((rows(2, 0), rows(2, 0)), (rows(0, 2), rows(0.5, 1.5)))
    assert gap[0] == pytest.approx(0.0)


def test_a_single_point_is_met_by_a_sweep_that_passes_its_level() -> None:
    gap, start, end = gaps((rows(2), rows(3, 1)), (rows(5), rows(1, 2)))
    assert (gap[0], start[0], end[0]) == (pytest.approx(3.5), 2.0, 2.0)


def test_paths_without_a_common_range_have_no_gap() -> None:
    gap, _, _ = gaps((rows(5, 4), rows(3, 1)), (rows(1, 2), rows(1, 2)))
    assert math.isnan(gap[0])


def test_many_paths_at_once_are_each_read_alone() -> None:
    rng = np.random.default_rng(0)
    levels, offers = rng.normal(size=(2, 50, 3)), rng.normal(size=(2, 50, 3))
    together = gaps(tuple(levels), tuple(offers))
    for row in range(50):
        alone = gaps(tuple(levels[:, row : row + 1]), tuple(offers[:, row : row + 1]))
        assert [x[0] for x in alone] == pytest.approx([x[row] for x in together], nan_ok=True)


ARMS = [
    *(arm(f"base@T={t}", "base", t, None if t == 0.5 else "base@T=0.5") for t in TEMPERATURES),
    *(arm(f"tuned@T={t}", "tuned", t, f"base@T={t}") for t in TEMPERATURES),
]


def sweeps(rng: np.random.Generator, shift: float, prompts: int = 60, better: str = "higher") -> list[Measured]:
    """Quality 2 - t and diversity t + `shift` (tuned), plus what the prompt does to all arms and noise of each."""
    hard, wide = rng.normal(size=(2, prompts))
    quality, diversity = {}, {}
    for one in ARMS:
        assert one.sampling is not None
        t = one.sampling.temperature
        extra = shift if one.checkpoint == "tuned" else 0.0
        quality[one.name] = 2 - t + hard + 0.1 * rng.normal(size=prompts)
        diversity[one.name] = t + extra + wide + 0.1 * rng.normal(size=prompts)
    if better == "lower":
        diversity = {name: -values for name, values in diversity.items()}
    return [Measured("reward", "reward|v:1", "higher", quality, 2), Measured("d", "d|v:1", better, diversity, 2)]


def test_diversity_at_equal_quality_is_found_with_its_interval() -> None:
    rng, covered = np.random.default_rng(1), []
    for _ in range(40):
        quality, diversity = sweeps(rng, shift=-0.3)
        [at_quality, at_diversity] = read_sweeps(ARMS, quality, [diversity])
        assert (at_quality.metric, at_quality.at_equal) == ("d", "reward")
        assert at_quality.value == pytest.approx(-0.3, abs=0.15)
        # One unit of diversity costs one of quality here, so both readings are the same number.
        assert at_diversity.value == pytest.approx(-0.3, abs=0.15)
        covered.append(at_quality.low <= -0.3 <= at_quality.high)
    # 40 trials tell coverage to within 7 % (two standard errors).
    assert np.mean(covered) >= 0.86


def test_a_measure_that_is_better_low_reads_in_its_own_sign() -> None:
    quality, low = sweeps(np.random.default_rng(1), shift=-0.3, better="lower")
    quality, high = sweeps(np.random.default_rng(1), shift=-0.3)
    lower, higher = read_sweeps(ARMS, quality, [low]), read_sweeps(ARMS, quality, [high])
    assert (lower[0].value, lower[0].low) == (pytest.approx(-higher[0].value), pytest.approx(-higher[0].high))
    assert (lower[0].start, lower[0].end) == (higher[0].start, higher[0].end)
    assert (lower[1].start, lower[1].end) == (pytest.approx(-higher[1].end), pytest.approx(-higher[1].start))
    assert lower[1].value == pytest.approx(higher[1].value)


def test_what_is_cut_too_is_on_another_path() -> None:
    quality, diversity = sweeps(np.random.default_rng(1), shift=-0.3)
    strange = [
        replace(one, name=f"{one.name} cut", sampling=replace(one.sampling, min_p=0.1)) for one in ARMS if one.sampling
    ]
    rng = np.random.default_rng(2)
    more = [
        replace(each, values=each.values | {one.name: rng.normal(9, 9, size=60) for one in strange})
        for each in (quality, diversity)
    ]
    assert read_sweeps([*ARMS, *strange], more[0], more[1:]) == read_sweeps(ARMS, quality, [diversity])


def test_of_three_prompts_an_interval_still_holds_what_was_seen() -> None:
    """Of two small checkpoints; the paths bend so much that hardly a resample looks like the sample."""
    quality = [[1, 0.83, 1], [1, 1, 0.94], [0.83, 1, 0.94], [1, 0.83, 0.9], [1, 0.98, 0.9], [0.83, 0.81, 0.94]]
    distance = [
        [0.68, 0.77, 0.67], [0.83, 0.83, 0.87], [0.83, 0.87, 0.91], [0.66, 0.8, 0.61], [0.7, 0.83, 0.66], [0.83, 0.85, 0.84],
    ]  # fmt: skip

    def measured(name: str, values: list[list[float]]) -> Measured:
        by_arm = {one.name: np.array(row, dtype=float) for one, row in zip(ARMS, values, strict=True)}
        return Measured(name, name, "higher", by_arm, 6)

    [at_quality, _] = read_sweeps(ARMS, measured("checks", quality), [measured("distance", distance)])
    assert at_quality.value is not None
    assert at_quality.low is not None
    assert at_quality.high is not None
    assert at_quality.low <= at_quality.value <= at_quality.high


def test_one_temperature_has_no_frontier() -> None:
    quality, diversity = sweeps(np.random.default_rng(1), 0.0)
    arms = [arm("base@T=0.5", "base", 0.5), arm("tuned@T=0.5", "tuned", 0.5, "base@T=0.5")]
    assert read_sweeps(arms, quality, [diversity]) == []


def test_sweeps_of_far_apart_quality_are_undefined_not_extrapolated() -> None:
    quality, diversity = sweeps(np.random.default_rng(1), 0.0)
    better = {name: values + 9 * name.startswith("tuned") for name, values in quality.values.items()}
    [at_quality, _] = read_sweeps(ARMS, Measured("reward", "s", "higher", better, 2), [diversity])
    assert (at_quality.value, at_quality.low, at_quality.start) == (None, None, None)


def test_an_undefined_arm_makes_the_reading_undefined() -> None:
    quality, diversity = sweeps(np.random.default_rng(1), 0.0)
    gone = diversity.values | {"tuned@T=1.0": np.full(60, np.nan)}
    [at_quality, _] = read_sweeps(ARMS, quality, [Measured("d", "s", "higher", gone, 2)])
    assert at_quality.value is None


def test_a_sweep_of_one_side_is_enough() -> None:
    quality, diversity = sweeps(np.random.default_rng(1), shift=-0.3)
    arms = [
        ARMS[1],
        *(arm(one.name, "tuned", one.sampling.temperature, ARMS[1].name) for one in ARMS[3:] if one.sampling),
    ]
    arms[0] = arm(ARMS[1].name, "base", 0.75)
    [at_quality, _] = read_sweeps(arms, quality, [diversity])
    assert at_quality.value == pytest.approx(-0.3, abs=0.15)
    assert at_quality.start == at_quality.end
