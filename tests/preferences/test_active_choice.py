from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.plumbing.arrays import Array
from evalkit.preferences.active_choice import ActiveChooser, sampling_chances
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.known_pairs import FLOOR, FOLDS, KnownPairs
from tests.preferences.cast import group, run, vote

ARMS = {"tuned": "base"}


def known(prompts: int = 10, completions: int = 3) -> KnownPairs:
    return KnownPairs(run(prompts, completions), ARMS, {})


def answered(pairs: KnownPairs, count: int, seed: int = 1) -> list[Annotation]:
    """Votes of a rater who likes what is longer."""
    chooser, generator, votes = ActiveChooser(pairs), random.Random(seed), list[Annotation]()
    for _ in range(count):
        drawn = chooser.draw(votes, generator)
        assert drawn is not None
        choice = "a" if len(drawn.pair.a.split()) > len(drawn.pair.b.split()) + 1 else "b"
        votes.append(Annotation(drawn, "r", "g", choice, generator.choice("ab"), 1.0, "2026-01-01T00:00:00Z"))
    return votes


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(1e-9, 1 - 1e-9)))
def test_chances_add_up_and_none_falls_below_the_floor(wins: Array) -> None:
    chances = sampling_chances(wins)
    assert chances.sum() == pytest.approx(1)
    assert (chances >= FLOOR / len(wins) - 1e-12).all()
    assert chances[np.abs(wins - 0.5).argmin()] == pytest.approx(chances.max())


def test_every_pair_is_drawn_once_and_prompts_take_turns() -> None:
    pairs = known(4, 3)
    chooser, generator = ActiveChooser(pairs), random.Random(3)
    drawn = [chooser.draw([], generator) for _ in range(4 * 9)]
    keys = [(one.pair.prompt_id, one.sample_indices) for one in drawn if one is not None]
    assert len(set(keys)) == 36
    for turn in range(9):
        assert len({prompt for prompt, _ in keys[4 * turn : 4 * turn + 4]}) == 4
    assert chooser.draw([], generator) is None


def test_what_was_drawn_before_is_not_drawn_again() -> None:
    pairs = known(2, 2)
    before = [("tuned", "p0", a, b) for a in range(2) for b in range(2)]
    chooser, generator = ActiveChooser(pairs, before), random.Random(3)
    left = [chooser.draw([], generator) for _ in range(5)]
    assert [one.pair.prompt_id if one else None for one in left] == ["p1"] * 4 + [None]


def test_a_pair_comes_with_the_chance_it_was_drawn_with() -> None:
    pairs = known()
    votes = answered(pairs, 90)
    stated: dict[tuple[str, object], float] = {}
    seen: Counter[tuple[str, object]] = Counter()
    generator = random.Random(5)
    for _ in range(900):
        drawn = ActiveChooser(pairs).draw(votes, generator)
        assert drawn is not None
        seen[drawn.pair.prompt_id, drawn.sample_indices] += 1
        stated[drawn.pair.prompt_id, drawn.sample_indices] = drawn.probability
    of_one = {key: share for key, share in stated.items() if key[0] == "p0"}
    assert len(of_one) == 9
    assert sum(of_one.values()) == pytest.approx(1)
    assert max(of_one.values()) > 1.03 * min(of_one.values())
    drawn_here = sum(seen[key] for key in of_one)
    expected = {key: drawn_here * share for key, share in of_one.items()}
    distance = sum((seen[key] - expected[key]) ** 2 / expected[key] for key in of_one)
    assert distance < 26.1  # chi-square with 8 degrees of freedom exceeds it once in a thousand


def test_folds_know_nothing_of_each_other_while_votes_come_in() -> None:
    """What keeps the estimate unbiased: votes on other folds change no chance of a pair."""
    pairs = known()
    votes = answered(pairs, 60)
    own = [one for one in votes if pairs.fold(one.comparison.pair.prompt_id) == pairs.fold("p0")]
    assert 0 < len(own) < len(votes)
    only = [("tuned", f"p{at}", a, b) for at in range(1, 10) for a in range(3) for b in range(3)]
    by_all, by_own, by_none = (
        ActiveChooser(pairs, only).draw(said, random.Random(9)) for said in (votes, own, [])
    )  # fmt: skip
    assert by_all == by_own
    assert by_own is not None
    assert by_none is not None
    assert by_own.probability != by_none.probability == pytest.approx(1 / 9)


def test_pairs_of_the_same_text_are_never_asked() -> None:
    groups = {"base": [group("p", ["yes", "no"])], "tuned": [group("p", ["yes", "yes"])]}
    pairs = KnownPairs(groups, ARMS, {})
    chooser, generator = ActiveChooser(pairs), random.Random(0)
    drawn = [chooser.draw([], generator) for _ in range(3)]
    assert {one.sample_indices for one in drawn if one} == {(0, 1), (1, 1)}
    assert drawn[2] is None


def test_a_run_without_two_texts_has_nothing_to_ask() -> None:
    same = {arm: [group("p", ["yes"])] for arm in ("base", "tuned")}
    assert ActiveChooser(KnownPairs(same, ARMS, {})).draw([], random.Random(0)) is None


def test_votes_on_what_the_run_does_not_have_are_seen() -> None:
    pairs = known()
    assert pairs.have(answered(pairs, 12))
    strangers = [
        vote("p0", "a"),
        vote("nowhere", "a"),
        vote("p0", "a", arms=None, drawn=None),
        vote("p0", "a", drawn=(9, 9)),
    ]
    assert not any(pairs.have([one]) for one in strangers)
    assert FOLDS > 1
