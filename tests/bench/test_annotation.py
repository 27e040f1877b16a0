"""What docs/human-win-rate.md claims of intervals and of labels saved, on fewer simulated runs than its tables rest on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.annotation import WORLD, Choice, Runs, active, agreement, coverage, squared_width, uniform, win_rate

CELLS = [(2, 20, 60), (5, 20, 60), (20, 20, 60), (5, 100, 100)]


@pytest.mark.parametrize(("raters", "prompts", "labels"), CELLS)
@pytest.mark.parametrize("choice", [uniform, active])
def test_intervals_hold_the_truth_as_often_as_they_say(raters: int, prompts: int, labels: int, choice: Choice) -> None:
    world = replace(WORLD, raters=raters, prompts=prompts)
    assert 0.92 <= coverage(world, labels, 300, choice) <= 0.98


def test_estimates_are_unbiased_though_pairs_are_chosen_by_votes_and_raters_like_what_stands_first() -> None:
    world = replace(WORLD, prompts=20, first=1.5)
    rng = np.random.default_rng(3)
    votes = active(Runs.drawn(world, 400, rng), 80, rng)
    errors = np.array([win_rate(votes, run).value for run in range(400)]) - world.truth()
    assert abs(errors.mean()) < 3 * errors.std() / 20


def test_a_proxy_as_good_as_a_second_rater_saves_labels_and_a_useless_one_costs_none() -> None:
    """Squared widths fall with one over the number of labels: their ratio is that of labels, or nearer to 1."""
    good = replace(WORLD, proxy=0.9)
    of_raters, of_proxy = agreement(good, runs=60)
    assert of_proxy == pytest.approx(of_raters, abs=0.02)
    assert squared_width(good, 100, 100, active) < 0.8 * squared_width(good, 100, 100, uniform)
    useless = replace(WORLD, proxy=0.0)
    assert squared_width(useless, 100, 100, active) < squared_width(useless, 100, 100, uniform)
