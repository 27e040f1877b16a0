from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.preferences.annotation import Annotation
from evalkit.preferences.ballots import Ballots, ballots
from evalkit.preferences.win_rate import at_equal_length, estimate, win_rates
from tests.preferences.cast import vote

ARMS = {"tuned": "base"}


def test_both_kinds_of_tie_count_half_and_the_side_of_the_arm_does_not_matter() -> None:
    votes = [
        vote("p", "a"), vote("q", "tie"), vote("r", "both_bad"),
        vote("s", "a", arms=("base", "tuned")),
    ]  # fmt: skip
    [rate] = win_rates(votes, ARMS)
    assert rate.rate.value == 0.5
    assert (rate.labels, rate.pairs, rate.prompts, rate.raters, rate.ties) == (4, 4, 4, 1, 0.5)


def test_a_pair_that_was_likelier_to_be_asked_counts_less() -> None:
    votes = [vote("p", "a", probability=0.5), vote("q", "b", probability=0.25)]
    [rate] = win_rates(votes, ARMS)
    assert rate.rate.value == pytest.approx(2 / 6)  # Hajek's: 1 / 0.5 for the win, 1 / 0.25 for the loss


def test_several_votes_on_one_draw_are_one_draw() -> None:
    votes = [vote("p", "a", rater) for rater in "xyz"] + [vote("q", "b", "x")]
    [rate] = win_rates(votes, ARMS)
    assert rate.rate.value == 0.5
    assert (rate.labels, rate.pairs) == (4, 2)


def test_groups_are_told_apart_and_together() -> None:
    votes = [vote("p", "a", group="writers"), vote("q", "b", group="readers"), vote("r", "b", group="readers")]
    rates = {rate.group: rate.rate.value for rate in win_rates(votes, ARMS)}
    assert rates == pytest.approx({None: 1 / 3, "writers": 1.0, "readers": 0.0})


def test_votes_on_other_arms_say_nothing_of_this_one() -> None:
    assert win_rates([vote("p", "a", arms=("other", "base")), vote("p", "a", arms=None)], ARMS) == []


def test_where_all_votes_are_alike_the_interval_is_not_a_point() -> None:
    [rate] = win_rates([vote(f"p{at}", "a") for at in range(10)], ARMS)
    assert (rate.rate.value, rate.rate.high) == pytest.approx((1, 1))
    assert rate.rate.low == pytest.approx(0.025 ** (1 / 10))  # Clopper & Pearson


def test_one_prompt_has_a_value_and_no_interval() -> None:
    [rate] = win_rates([vote("p", "a")], ARMS)
    assert rate.rate.value == 1.0
    assert not rate.is_clear


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 0.99), st.floats(0, 1)), min_size=2, max_size=20))
def test_no_prediction_and_no_choice_of_pairs_moves_the_expected_estimate(rows: list[tuple[float, ...]]) -> None:
    """The mean over draws of a vote's own estimate, by the chances of all pairs, is the mean of what is true of them."""
    chance, expected, truth = map(np.array, zip(*rows, strict=True))
    chance = chance / chance.sum()
    size = len(chance)
    every = np.full(size, expected.mean())
    codes = np.zeros(size, dtype=np.int64)
    cast = Ballots(codes, codes, truth, 1 / (size * chance), np.full(size, 1 / size), expected, every)
    assert chance @ cast.terms == pytest.approx(truth.mean())


def test_at_equal_length_is_what_a_logistic_regression_says_at_no_difference() -> None:
    """Of two lengths there is a closed form: the logits of both halves' shares, and their mean at equal length."""
    votes = [vote(f"p{at}", "a" if at % 8 < 7 else "b") for at in range(800)]  # longer: 7 of 8
    votes += [vote(f"q{at}", "a" if at % 8 < 3 else "b") for at in range(800)]  # shorter: 3 of 8
    longer = np.repeat([1.0, -1.0], 800)
    found = at_equal_length(ballots(votes, "tuned"), longer)
    assert found is not None
    level = (math.log(7) + math.log(3 / 5)) / 2
    assert found.value == pytest.approx(1 / (1 + math.exp(-level)), abs=1e-4)  # the ridge is a hundredth of a vote
    assert found.low < found.value < found.high
    assert estimate(ballots(votes, "tuned")).value == pytest.approx(10 / 16)


def test_equal_length_is_not_asked_of_lengths_that_do_not_vary() -> None:
    assert at_equal_length(ballots(_lost(5), "tuned"), np.zeros(5)) is None


def test_equal_length_is_finite_where_the_arm_lost_every_time() -> None:
    found = at_equal_length(ballots(_lost(6), "tuned"), np.linspace(-1, 1, 6))
    assert found is not None
    assert 0 <= found.low <= found.value < 0.1


def _lost(count: int) -> list[Annotation]:
    return [vote(f"p{at}", "b") for at in range(count)]
