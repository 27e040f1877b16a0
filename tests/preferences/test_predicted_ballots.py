from __future__ import annotations

import dataclasses
import random
from itertools import permutations

import numpy as np
import pytest

from evalkit.preferences.active_choice import ActiveChooser
from evalkit.preferences.annotation import SWAPPED, Annotation, Choice
from evalkit.preferences.ballots import ballots
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.preferences.pairs import Pair
from evalkit.preferences.predicted_ballots import predicted_ballots, settled_before
from evalkit.preferences.win_rate import win_rates
from tests.preferences.cast import run, vote
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


def test_of_pairs_that_are_drawn_once_every_order_together_gives_the_truth() -> None:
    """The expectation over all orders in which three pairs can be drawn, by the chances of what is left each time."""
    truth, expected, liked = [1.0, 0.0, 1.0], [0.7, 0.2, 0.5], [0.6, 0.3, 0.1]
    for draws in (1, 2, 3):
        total = 0.0
        for order in permutations(range(3), draws):
            chance, left, votes, weights = 1.0, 1.0, [], []
            for pair in order:
                own = liked[pair] / left
                chance, left = chance * own, left - liked[pair]
                votes.append(vote("p", "a", drawn=(pair, 0), probability=own))
                weights.append(1 / (3 * own))
            residuals = np.array([truth[pair] - expected[pair] for pair in order])
            terms = sum(expected) / 3 + settled_before(residuals, votes) / 3 + np.array(weights) * residuals
            total += chance * terms.mean()
        assert total == pytest.approx(2 / 3)


def test_when_every_pair_was_voted_on_alike_no_prediction_is_left() -> None:
    pairs = known(10, 3)
    votes = [dataclasses.replace(one, choice="a") for one in answered(pairs, 90)]
    [rate] = win_rates(votes, ARMS, pairs)
    assert rate.rate.value == pytest.approx(1, abs=0.02)
    assert rate.rate.high == pytest.approx(1, abs=0.02)


def test_pairs_drawn_from_all_prompts_at_once_have_their_own_weights() -> None:
    pairs = known(10, 3)
    votes = answered(pairs, 40)
    of_run = [
        dataclasses.replace(one, comparison=dataclasses.replace(one.comparison, probability=1 / (90 - at)))
        for at, one in enumerate(votes)
    ]
    cast = predicted_ballots(ballots(of_run, "tuned"), of_run, "tuned", pairs)
    assert cast.shares @ cast.weights == pytest.approx(1)
    assert cast.weights[0] / cast.weights[-1] == pytest.approx(90 / 51)


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


def test_what_the_chooser_draws_and_the_estimate_makes_of_it_is_unbiased_though_most_pairs_are_asked_about() -> None:
    errors = np.array([_error(seed) for seed in range(60)])
    assert abs(errors.mean()) < 3 * errors.std() / len(errors) ** 0.5
    assert errors.std() < 0.1


def _error(seed: int) -> float:
    """Of the win rate by 36 of 54 pairs of six prompts, whose truth is known; the reward knows half of it."""
    generator, rng, groups = random.Random(seed), np.random.default_rng(seed), run(6, 3)
    worth = {arm: rng.normal(0.5 * (arm == "tuned"), 1.5, (6, 3)) for arm in groups}
    reward = {arm: (of_arm + rng.normal(0, 1.5, (6, 3))).tolist() for arm, of_arm in worth.items()}
    pairs = KnownPairs(groups, ARMS, {"reward": reward})
    chances = 1 / (1 + np.exp(worth["base"][:, None, :] - worth["tuned"][:, :, None]))
    chooser, votes = ActiveChooser(pairs), list[Annotation]()
    for number in range(36):
        drawn = chooser.draw(votes, generator)
        assert drawn is not None
        assert drawn.sample_indices is not None
        chance = chances[int(drawn.pair.prompt_id[1:]), *drawn.sample_indices]
        choice: Choice = "a" if generator.random() < chance else "b"
        votes.append(Annotation(drawn, f"r{number % 6}", "g", choice, generator.choice(["a", "b"]), 1.0, ""))
    [rate] = win_rates(votes, ARMS, pairs)
    return rate.rate.value - float(chances.mean())
