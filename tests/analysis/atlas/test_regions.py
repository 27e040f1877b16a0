"""Regions are where crowds are, and are named by what only they say."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.atlas import regions as module
from evalkit.analysis.atlas.layout import Layout
from evalkit.analysis.atlas.regions import find_regions, middle, name_regions, shares, words
from evalkit.analysis.atlas.said import Said

ABOUT = ("lighthouse", "orchard", "harbour")


@pytest.fixture
def said() -> Said:
    """Texts on three subjects by two arms: the second speaks of the first subject alone."""
    subject = np.repeat([0, 1, 2], 60)
    texts = tuple(f"The {ABOUT[s]} was old, it stood there for {place} years." for place, s in enumerate(subject))
    arm = (subject == 0) & (np.arange(180) % 2 == 0)
    return Said(
        texts, np.eye(3, dtype=np.float32)[subject], ("base", "tuned"), ("p", "q"), np.arange(180), arm.astype(int),
        (subject == 2).astype(int), np.arange(180), np.full(180, 2),
    )  # fmt: skip


@pytest.fixture
def layout() -> Layout:
    points = np.random.default_rng(0).normal(size=(180, 2)) + 30 * np.repeat([[0, 0], [1, 0], [0, 1]], 60, axis=0)
    return Layout(points.astype(np.float32), np.arange(0, 180, 3), np.arange(180) // 3)


def test_a_region_is_a_crowd(layout: Layout) -> None:
    regions = find_regions(layout)
    assert [len(set(regions[start : start + 60])) for start in (0, 60, 120)] == [1, 1, 1]
    assert len(set(regions)) == 3


def test_a_region_is_named_by_what_only_it_says(said: Said) -> None:
    names = name_regions(said, np.repeat([0, 1, 2], 60))
    assert names == [(word,) for word in ABOUT]


def told(*texts: str) -> Said:
    """Each text once, by one arm to one prompt."""
    every, one = np.arange(len(texts)), np.zeros(len(texts), dtype=int)
    return Said(texts, np.ones((len(texts), 1), np.float32), ("base",), ("p",), every, one, one, every, one + 1)


def test_no_two_regions_have_one_name() -> None:
    """Both speak of a storm at sea by night, of which one says the wind, too, and the other is only a little wetter."""
    one = [f"sea storm night {'wind' if place % 2 else ''}" for place in range(60)]
    other = [f"sea storm night {'rain' if place % 3 else ''}" for place in range(60)]
    rest = [f"{word} of apples" for word in ("orchard", "harvest") for _ in range(300)]
    names = name_regions(told(*one, *other, *rest), np.repeat([0, 1, 2], [60, 60, 600]))
    assert len({frozenset(name) for name in names}) == 3
    assert names[0] == ("night", "sea", "storm")
    assert names[1] == ("night", "sea", "rain")


def test_a_region_with_no_word_more_than_another_has_fewer_or_none() -> None:
    rest = ["apples"] * 600
    names = name_regions(told(*["sea storm"] * 180, *rest), np.repeat([0, 1, 2, 3], [60, 60, 60, 600]))
    assert names == [("sea", "storm"), ("sea",), (), ("apples",)]


def test_what_all_say_names_nothing(said: Said) -> None:
    assert name_regions(said, np.arange(180) % 3) == [(), (), ()]


def test_names_do_not_depend_on_the_order_of_texts(said: Said) -> None:
    regions = np.repeat([0, 1, 2], 60)
    order = np.random.default_rng(1).permutation(180)
    mixed = Said(tuple(said.texts[i] for i in order), *list(vars(said).values())[1:])
    assert name_regions(mixed, regions[order]) == name_regions(said, regions)


def test_a_word_as_frequent_as_elsewhere_scores_0_and_its_opposite_the_same_with_the_other_sign() -> None:
    score = module._scores(np.array([20.0, 40.0, 0.0]), 100.0, np.array([40.0, 40.0, 40.0]), 200.0)
    assert score[0] == pytest.approx(0)
    assert score[1] == pytest.approx(-score[2])
    assert score[1] > module.CLEAR


def test_words_are_of_letters_and_bounded() -> None:
    assert words("Don't <b>stop</b> 42 ÉTÉ " + "x" * 90) == {"don't", "stop", "été", "x" * module.LONGEST}


def test_shares_count_completions_and_prompts(said: Said) -> None:
    completions, prompts = shares(said, np.repeat([0, 1, 1], 60))
    assert completions == [[60, 60], [240, 0]]
    assert prompts == [1, 2]


def test_the_middle_is_a_text_of_the_region(layout: Layout) -> None:
    own = np.arange(60, 120)
    assert middle(layout.points, own) in own


def test_texts_in_one_place_are_one_region() -> None:
    assert set(find_regions(Layout(np.zeros((200, 2), np.float32), np.arange(50), np.arange(200) // 4))) == {0}
