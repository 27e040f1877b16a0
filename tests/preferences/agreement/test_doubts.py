"""Raters who do not look are named with what they do; those who do look are not."""

from __future__ import annotations

import numpy as np

from evalkit.preferences.agreement.doubts import doubts
from evalkit.preferences.agreement.ratings import Ratings, ratings_of
from tests.preferences.annotations import always_a_tie, always_left, at_random, honest, labelled

CROWD = {("x", f"r{number}"): honest(ties=0.1) for number in range(5)} | {("y", f"s{n}"): honest(-1) for n in range(3)}


def named(rows: list) -> dict[str, str]:
    return {doubt.rater: doubt.kind for doubt in doubts(ratings_of(rows))}


def test_each_kind_is_named() -> None:
    odd = {("x", "coin"): at_random, ("x", "left"): always_left, ("y", "tie"): always_a_tie, ("y", "fast"): honest(-1)}
    found = named(labelled(CROWD | odd, 200, seconds={"fast": 0.5}))
    assert found == {"coin": "at random", "left": "always left", "tie": "always a tie", "fast": "too fast"}


def test_a_minority_of_opposite_values_is_not_at_random() -> None:
    minority = {("x", f"other{number}"): honest(-1) for number in range(2)}
    assert named(labelled(CROWD | minority, 150)) == {}


def test_one_rater_alone_is_not_judged() -> None:
    assert named(labelled({("x", "only"): honest()}, 40)) == {}


def test_ties_and_haste_are_found_after_100_answers_and_honest_raters_are_not() -> None:
    """18 honest raters, whose shares of ties and whose pace differ; one who ties, one who does not read."""
    rng, found, false = np.random.default_rng(4), [], []
    for _ in range(40):
        ties = np.append(rng.beta(1.2, 8, 18), [0.97, 0.1])
        speed = np.append(np.exp(rng.normal(np.log(5), 0.5, 18)), [5, 30])[:, None] * np.exp(
            rng.normal(0, 0.5, (20, 100))
        )
        answers = np.where(rng.random((20, 100)) < ties[:, None], 2, rng.integers(0, 2, (20, 100))).astype(np.int8)
        nothing, names = np.full((20, 100), np.nan), tuple(f"r{number:02}" for number in range(20))
        ratings = Ratings(names, ("g",) * 20, (), answers, np.full_like(answers, -1), nothing, nothing, speed)
        kinds = {(doubt.rater, doubt.kind) for doubt in doubts(ratings) if doubt.kind in ("always a tie", "too fast")}
        expected = {("r18", "always a tie"), ("r19", "too fast")}
        found.append(len(kinds & expected) / 2)
        false.append(len(kinds - expected) / 18)
    assert np.mean(found) >= 0.95
    assert np.mean(false) <= 0.01
