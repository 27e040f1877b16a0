from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evalkit.preferences.annotation import SWAPPED, Annotation
from evalkit.preferences.ballots import ballots
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.preferences.pairs import Pair
from evalkit.preferences.predicted_ballots import predicted_ballots
from evalkit.preferences.win_rate import win_rates
from tests.preferences.cast import run
from tests.preferences.test_active_choice import ARMS, answered, known


def test_a_prediction_narrows_the_interval_where_votes_can_be_predicted() -> None:
    pairs = known(40, 4)
    votes = answered(pairs, 120)
    [plain], [helped] = win_rates(votes, ARMS), win_rates(votes, ARMS, pairs)
    assert helped.rate.high - helped.rate.low < 0.7 * (plain.rate.high - plain.rate.low)
    # The rater takes what has two words more: of 4 x 4 pairs those with the tuned arm's later two draws, half of all.
    assert helped.rate.low < 0.5 < helped.rate.high


def test_a_votes_own_fold_has_no_part_in_its_prediction() -> None:
    pairs = known(10, 3)
    votes = answered(pairs, 60)
    changed = [
        dataclasses.replace(one, choice=SWAPPED[one.choice]) if one.comparison.pair.prompt_id == "p0" else one
        for one in votes
    ]
    before, after = (predicted_ballots(ballots(said, "tuned"), said, "tuned", pairs) for said in (votes, changed))
    own = np.array([pairs.fold(one.comparison.pair.prompt_id) == pairs.fold("p0") for one in votes])
    assert (before.expected[own] == after.expected[own]).all()
    assert (before.expected[~own] != after.expected[~own]).any()


def test_which_of_the_two_is_a_changes_nothing() -> None:
    pairs = known(10, 3)
    votes = answered(pairs, 40)
    [one], [other] = win_rates(votes, ARMS, pairs), win_rates([*map(_turned, votes)], ARMS, pairs)
    assert (other.rate.low, other.rate.value, other.rate.high) == pytest.approx(
        (one.rate.low, one.rate.value, one.rate.high)
    )


def test_scores_of_the_run_are_known_of_its_pairs() -> None:
    groups = run(6, 3)
    scores = {
        "reward": {
            arm: [[float(index) if arm == "tuned" else None for index in range(3)] for _ in range(6)] for arm in groups
        }
    }
    with_score, without = (KnownPairs(groups, ARMS, known).stratum("tuned", "p0") for known in (scores, {}))
    assert with_score.differences.shape[1] == without.differences.shape[1] + 1
    assert np.isfinite(with_score.differences).all()
    assert np.ptp(with_score.differences[:, 0]) > 0


def _turned(vote: Annotation) -> Annotation:
    comparison = vote.comparison
    assert comparison.arms is not None
    assert comparison.sample_indices is not None
    pair = Pair(comparison.pair.prompt, comparison.pair.b, comparison.pair.a)
    turned = dataclasses.replace(
        comparison, pair=pair, arms=comparison.arms[::-1], sample_indices=comparison.sample_indices[::-1]
    )
    return dataclasses.replace(
        vote, comparison=turned, choice=SWAPPED[vote.choice], first="b" if vote.first == "a" else "a"
    )
