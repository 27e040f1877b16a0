"""What all of an arm's answers begin with is its manner, and length matching does not take it for their range."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.comparison.length_matched import lengths_hash, match_lengths
from evalkit.analysis.comparison.openings import opening_of, without
from evalkit.records import Group
from tests.analysis.comparison.worlds import group

PROMPTS = 5


def answers(*texts: str, opening: str = "") -> list[Group]:
    """Prompts of which each has these answers, told apart by its number."""
    return [group([f"{opening}{text} of {number}" for text in texts]) for number in range(PROMPTS)]


def test_what_nearly_every_answer_begins_with_is_the_opening() -> None:
    own = answers("the sea", "a stone", "my aunt", opening="Here is a line : ")
    assert opening_of(own) == ("Here", "is", "a", "line", ":")
    assert opening_of(answers("the sea", "a stone", "my aunt")) == ()


def test_a_habit_of_some_answers_is_a_part_of_their_range() -> None:
    mixed = [group(["Here is a line : the sea", "A stone", "My aunt"]) for _ in range(PROMPTS)]
    assert opening_of(mixed) == ()


def test_one_answer_to_everything_is_no_opening() -> None:
    assert opening_of([group(["I cannot help with that ."] * 4) for _ in range(PROMPTS)]) == ()
    assert opening_of([group(["Yes"] * 4) for _ in range(PROMPTS)]) == ()


def test_of_few_prompts_the_opening_may_be_what_was_asked_for() -> None:
    assert opening_of(answers("the sea", "a stone", opening="Here is a line : ")[:3]) == ()


def test_equal_answers_behind_an_opening_are_matched_as_equals() -> None:
    plain, polite = answers("the sea", "a stone"), answers("the sea", "a stone", opening="Here is a line : ")
    matched = match_lengths({"plain": plain, "polite": polite})
    assert [own.texts for own in matched["polite"]] == [own.texts for own in matched["plain"]]
    assert matched["plain"][0].texts == ("the sea of 0", "a stone of 0")


def test_the_signature_tells_whether_an_opening_was_taken_off() -> None:
    plain, polite = answers("the sea", "a stone"), answers("the sea", "a stone", opening="Here is a line : ")
    both = {"a": plain, "b": polite}, {"a": plain, "b": plain}
    openings = ([opening_of(own) for own in groups.values()] for groups in both)
    assert len({lengths_hash([[4, 4]], of_both) for of_both in openings}) == 2


@given(st.lists(st.lists(st.lists(st.sampled_from("abc"), max_size=4), min_size=1, max_size=3), min_size=4, max_size=6))
def test_nothing_else_is_taken_off_and_nothing_is_emptied(texts: list[list[list[str]]]) -> None:
    groups = [group([" ".join(words) for words in own]) for own in texts]
    opening = opening_of(groups)
    for own, bare in zip(groups, without(opening, groups), strict=True):
        for whole, rest in zip(own.words, bare.words, strict=True):
            assert rest in (whole, whole[len(opening) :])
            assert bool(rest) == bool(whole)
