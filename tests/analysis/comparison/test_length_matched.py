"""Length matching gives every arm the same lengths, drops nothing, and cuts no more than it must."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.comparison.length_matched import common_lengths, lengths_differ, lengths_hash, match_lengths
from evalkit.analysis.overview import look_at
from evalkit.metrics.registry import parse
from tests.analysis.comparison.worlds import group

rows = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 9), min_size=k, max_size=k), min_size=2, max_size=4)
)


def of_lengths(*lengths: int, name: str = "w") -> list:
    return [group([" ".join(f"{name}{i}" for i in range(length)) for length in lengths])]


@given(rows)
def test_every_arm_has_the_same_lengths_and_keeps_all_completions(lengths: list[list[int]]) -> None:
    groups = {str(arm): of_lengths(*own) for arm, own in enumerate(lengths)}
    matched = match_lengths(groups)
    found = [Counter(len(words) for words in matched[arm][0].words) for arm in groups]
    assert all(one == found[0] for one in found)
    assert all(len(matched[arm][0].completions) == len(own) for arm, own in zip(groups, lengths, strict=True))


@given(rows)
def test_a_completion_is_cut_or_left_and_never_changed(lengths: list[list[int]]) -> None:
    groups = {str(arm): of_lengths(*own) for arm, own in enumerate(lengths)}
    for arm, own in match_lengths(groups).items():
        for cut, whole in zip(own[0].words, groups[arm][0].words, strict=True):
            assert cut == whole[: len(cut)]


@given(rows)
def test_no_longer_lengths_could_be_common_to_all(lengths: list[list[int]]) -> None:
    # Rank by rank it is the shortest: one word more at any rank, and some arm's text of that rank is too short.
    common = common_lengths(lengths)
    ranked = [sorted(own) for own in lengths]
    assert all(min(own[rank] for own in ranked) == length for rank, length in enumerate(common))


def test_arms_of_equal_lengths_are_not_cut() -> None:
    groups = {"a": of_lengths(3, 5), "b": of_lengths(5, 3, name="v")}
    assert [own[0].words for own in match_lengths(groups).values()] == [own[0].words for own in groups.values()]


def test_the_shortest_meets_the_shortest_by_hand() -> None:
    groups = {"a": of_lengths(1, 9, 4), "b": of_lengths(8, 2, 6, name="v")}
    matched = match_lengths(groups)
    assert [len(words) for words in matched["a"][0].words] == [1, 8, 4]  # ranks 1, 4, 9 against 2, 6, 8
    assert [len(words) for words in matched["b"][0].words] == [8, 1, 4]
    assert matched["b"][0].texts[2] == "v0 v1 v2 v3"


def test_a_text_that_is_cut_is_its_words_joined() -> None:
    matched = match_lengths({"a": [group(["Yes, it is.", "No."])], "b": [group(["one two three", "one"])]})
    assert matched["a"][0].texts == ("Yes , it", "No")
    assert matched["a"][0].words == (("Yes", ",", "it"), ("No",))


def test_words_are_not_split_anew_when_they_are_joined() -> None:
    odd = group(["..,, 1-a .-,"])
    matched = match_lengths({"a": [odd], "b": [odd]})
    assert matched["a"][0].words == odd.words


def test_distinct_n_of_one_law_is_equal_at_matched_lengths_and_not_before() -> None:
    # One text says the words a to j in order, cut at 10 or at 4 words: twice the same beginning.
    long, short = "a b c d e f g h i j", "a b c d"
    groups = {"long": [group([long, long, long])], "short": [group([short, short, short])]}
    measure = parse("ngram_entropy|correction:none")
    assert measure(groups["long"][0]) > measure(groups["short"][0])
    matched = match_lengths(groups)
    assert measure(matched["long"][0]) == measure(matched["short"][0])


def test_different_numbers_of_completions_cannot_be_matched() -> None:
    matched = match_lengths({"a": of_lengths(3, 5), "b": of_lengths(5)})
    assert [own[0].completions for own in matched.values()] == [(), ()]


def test_the_hash_tells_lengths_apart_and_nothing_else() -> None:
    def hashed(**groups: list) -> str:
        matched = match_lengths(groups)["a"]
        return lengths_hash([sorted(map(len, own.words)) for own in matched], [])

    first = hashed(a=of_lengths(3, 5), b=of_lengths(4, 4))
    assert first == hashed(a=of_lengths(5, 3, name="x"), b=of_lengths(4, 4))
    assert first != hashed(a=of_lengths(3, 5), b=of_lengths(2, 4))


def test_lengths_differ_by_more_than_a_twentieth_or_not() -> None:
    assert lengths_differ(look_at({"a": of_lengths(*[20] * 10), "b": of_lengths(*[22] * 10)}, []))
    assert not lengths_differ(look_at({"a": of_lengths(*[20] * 10), "b": of_lengths(*[21] * 10)}, []))
    assert not lengths_differ(look_at({"a": of_lengths(3)}, []))
