"""What is said once: parts that moved with a longer phrase, and phrases that moved with a part of them."""

from __future__ import annotations

import numpy as np

from evalkit.analysis.words.folding import Moved, folded

P = 40
CLEAR = 0.001


def moved(own: dict[str, int], other: dict[str, int], phrases: list[str], sign: int = 1) -> Moved:
    """Every prompt has these counts of each phrase, of 100 words."""

    def table(counts: dict[str, int]) -> np.ndarray:
        return np.tile(np.array([float(counts.get(phrase, 0)) for phrase in phrases]), (P, 1))

    words = np.full(P, 100.0)
    return Moved(phrases, table(own), table(other), words, words, [(row,) for row in range(P)], sign, CLEAR)


def said(result: dict[int, tuple[int, ...]], phrases: list[str]) -> dict[str, tuple[str, ...]]:
    return {phrases[place]: tuple(phrases[part] for part in parts) for place, parts in result.items()}


def test_parts_stand_with_the_longest_phrase_that_they_moved_in() -> None:
    phrases = ["as an", "as an ai model", "an ai", "ai", "as"]
    own = {"as": 3, "as an": 2, "as an ai model": 2, "an ai": 2, "ai": 2}
    found = said(folded(moved(own, {"as": 1}, phrases)), phrases)
    assert found == {"as an ai model": ("as an", "an ai", "ai", "as")}


def test_a_part_that_moved_outside_too_is_said_by_itself() -> None:
    phrases = ["delve", "delve into"]
    found = said(folded(moved({"delve": 5, "delve into": 2}, {"delve": 1, "delve into": 0}, phrases)), phrases)
    assert found == {"delve": (), "delve into": ()}


def test_a_phrase_that_moved_no_more_than_its_part_is_not_said() -> None:
    phrases = ["the", "of the", "the ruins"]
    # "of the" is a fifth of all uses of "the" in both; "the ruins" is new.
    found = said(folded(moved({"the": 10, "of the": 2, "the ruins": 2}, {"the": 5, "of the": 1}, phrases)), phrases)
    assert found == {"the": (), "the ruins": ()}


def test_what_only_goes_on_from_a_phrase_that_is_said_is_not_said() -> None:
    # A phrase is four words at most: of a longer one the first four are said, not each four of them.
    phrases = [
        "it is important to",
        "is important to note",
        "important to note that",
        "important to",
        "is important to",
    ]
    counts = dict.fromkeys(phrases, 2)
    found = said(folded(moved(counts, {}, phrases)), phrases)
    assert found == {"it is important to": ("important to", "is important to")}


def test_what_is_lost_is_folded_as_what_is_gained() -> None:
    phrases = ["once upon a time", "upon", "a time"]
    counts = {"once upon a time": 1, "upon": 1, "a time": 1}
    found = said(folded(moved({}, counts, phrases, sign=-1)), phrases)
    assert found == {"once upon a time": ("upon", "a time")}


def test_a_word_that_stands_twice_in_a_phrase_is_taken_off_twice() -> None:
    phrases = ["very very good", "very"]
    found = said(folded(moved({"very very good": 1, "very": 2}, {}, phrases)), phrases)
    assert found == {"very very good": ("very",)}


def test_the_order_stays_and_nothing_is_lost_that_nothing_holds() -> None:
    phrases = ["rain", "snow", "a lamp"]
    found = said(folded(moved({"rain": 2, "snow": 1, "a lamp": 1}, {}, phrases)), phrases)
    assert list(found) == phrases
    assert set(found.values()) == {()}
