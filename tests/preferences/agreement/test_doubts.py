"""Raters who do not look are named with what they do; those who do look are not."""

from __future__ import annotations

from evalkit.preferences.agreement.doubts import doubts
from evalkit.preferences.agreement.ratings import ratings_of
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
