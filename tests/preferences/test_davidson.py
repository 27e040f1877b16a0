from __future__ import annotations

import math

import pytest

from evalkit.preferences.annotation import Annotation, Choice
from evalkit.preferences.davidson import standings
from tests.preferences.cast import vote


def many(arms: tuple[str, str], wins: int, ties: int, losses: int) -> list[Annotation]:
    choices: list[Choice] = ["a"] * wins + ["tie"] * ties + ["b"] * losses
    return [vote(f"p{at % 30}", choice, f"r{at % 7}", arms=arms, drawn=(at, at)) for at, choice in enumerate(choices)]


def test_scores_are_the_log_odds_of_wins_where_ties_are_as_the_model_has_them() -> None:
    """Shares fit exactly where ties^2 = nu^2 wins losses for both: 4 2 1 and 9 6 4 have nu = 1."""
    votes = many(("x", "base"), 400, 200, 100) + many(("base", "y"), 400, 600, 900)
    found = standings(votes, "base")
    assert found is not None
    scores = {one.arm: one.score.value for one in found.arms}
    assert scores == pytest.approx(
        {"x": math.log(4), "y": math.log(9 / 4)}, abs=1e-4
    )  # a ridge of a thousandth of a vote
    assert found.nu == pytest.approx(1, abs=1e-4)
    assert [one.arm for one in found.arms] == ["x", "y"]
    assert all(one.score.low < one.score.value < one.score.high for one in found.arms)


def test_an_arm_is_placed_by_way_of_another() -> None:
    votes = many(("x", "base"), 40, 20, 10) + many(("y", "x"), 40, 20, 10)
    found = standings(votes, "base")
    assert found is not None
    assert {one.arm: one.score.value for one in found.arms} == pytest.approx(
        {"x": math.log(4), "y": 2 * math.log(4)}, abs=1e-2
    )


def test_arms_that_nothing_joins_to_the_baseline_have_no_place() -> None:
    votes = many(("x", "base"), 4, 2, 1) + many(("u", "v"), 4, 2, 1)
    assert standings(votes, "base") is None


def test_an_arm_that_won_every_time_has_a_finite_score() -> None:
    found = standings(many(("x", "base"), 30, 0, 0) + many(("y", "base"), 10, 5, 10), "base")
    assert found is not None
    assert 3 < found.arms[0].score.value < 30
