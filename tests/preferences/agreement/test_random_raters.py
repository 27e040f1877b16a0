"""Who answers at random is found; who is of another mind is not taken for one who does."""

from __future__ import annotations

import numpy as np
import pytest

from bench.agreement import CROWDS, Crowd, finding
from evalkit.preferences.agreement.random_raters import Evidence, named, predicted, probabilities


def test_at_random_every_answer_is_a_fair_coin() -> None:
    """Hits of raters at random are Binomial(n, 1/2), also in their spread, whatever was learned on the way."""
    rng = np.random.default_rng(0)
    scores = []
    for seed in range(40):
        votes = rng.choice([-1, 1], (6, 60)).astype(np.int8)
        trials, hits = predicted(votes, np.zeros(6, np.int64), seed)
        scores += [(hits[0] - trials[0] / 2) / np.sqrt(trials[0] / 4)]
    assert abs(np.mean(scores)) < 4 / np.sqrt(40)
    assert 0.6 < np.std(scores) < 1.5


@pytest.mark.parametrize("crowd", CROWDS[:4], ids=lambda crowd: crowd.name)
def test_random_raters_are_found_after_400_answers_each_and_honest_ones_are_not(crowd: Crowd) -> None:
    found = finding(crowd, 400, 15)
    assert found.found >= 0.9  # 30 raters: 0.95 less a standard error; the page has more trials
    assert found.false <= 0.02
    assert found.discovery <= 0.05


def test_where_nobody_answers_at_random_hardly_anybody_is_named() -> None:
    assert finding(CROWDS[5], 200, 15).false <= 0.01


def test_a_mind_of_ones_own_is_known_by_its_steadiness() -> None:
    """Eleven raters whom nobody's answers predict: only the one who does not stand by their own is named."""
    trials = np.full(12, 200)
    hits = np.array([150] * 10 + [100, 100])
    evidence = Evidence(trials, hits, np.full(12, 40), np.array([36] * 11 + [20]))
    assert named(probabilities(evidence)).tolist() == [False] * 11 + [True]


def test_without_repeats_a_mind_of_ones_own_looks_like_chance() -> None:
    trials, nothing = np.full(11, 200), np.zeros(11, np.int64)
    evidence = Evidence(trials, np.array([150] * 10 + [100]), nothing, nothing)
    assert named(probabilities(evidence)).tolist() == [False] * 10 + [True]


def test_a_single_answer_names_nobody() -> None:
    ones = np.ones(3, np.int64)
    assert not named(probabilities(Evidence(ones, np.array([0, 1, 0]), 0 * ones, 0 * ones))).any()
