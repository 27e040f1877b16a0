"""The greedy partition: the first members decide, short answers by their words, each pair asked about once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.divisions.greedy import Pair, divide, divide_together, greedy

LONG = "an answer of more than five words about"


def noveltybench(texts: Sequence[str], same: dict[tuple[str, str], bool]) -> list[int]:
    """The loop of the benchmark's partition.py (2025), over pairs that its classifier has judged."""
    classes: list[list[str]] = []
    partition = [-1] * len(texts)
    for i, text in enumerate(texts):
        if partition[i] >= 0:
            continue
        partition[i] = len(classes)
        for j in range(i + 1, len(texts)):
            if partition[j] == -1 and same[text, texts[j]]:
                partition[j] = len(classes)
        classes.append([text])
    return partition


@given(st.integers(1, 9), st.data())
def test_it_is_noveltybench_s_division_whatever_says_the_same(k: int, data: st.DataObject) -> None:
    texts = [f"{LONG} {index}" for index in range(k)]
    verdicts = {(a, b): data.draw(st.booleans()) for a in texts for b in texts}
    [divided] = divide_together([texts], ["words"], lambda pairs: [verdicts[a, b] for _, a, b in pairs])
    assert divided.classes.tolist() == noveltybench(texts, verdicts)
    assert (divided.unread, divided.is_known) == (0, True)


def test_a_class_goes_by_its_first_member_alone() -> None:
    # a is b, b is c, a is not c: b is with a, and c founds a class.
    same = {("a", "b"): True, ("a", "c"): False, ("b", "c"): True}
    texts = [f"{LONG} {name}" for name in "abc"]
    classes = divide(greedy(texts, "words"), lambda leader, others: [same["abc"[leader], "abc"[o]] for o in others])
    assert classes.tolist() == [0, 0, 1]


def test_short_answers_are_told_by_their_words_and_equal_ones_by_their_text() -> None:
    asked: list[Pair] = []

    def same(pairs: list[Pair]) -> list[bool]:
        asked.extend(pairs)
        return [False] * len(pairs)

    texts = ["Red", "blue", "a red", "RED", LONG, LONG, "three words here"]
    [divided] = divide_together([texts], ["words"], same)
    assert divided.classes.tolist() == [0, 1, 0, 0, 2, 2, 3]
    # Only pairs with a long answer in them are asked about, each text once.
    assert [(a, b) for _, a, b in asked] == [("Red", LONG), ("blue", LONG), (LONG, "three words here")]
    assert (divided.asked, divided.unread) == (3, 0)


def test_without_the_rule_short_answers_are_asked_about_too() -> None:
    asked: list[tuple[str, str]] = []

    def same(pairs: list[Pair]) -> list[bool]:
        asked.extend((a, b) for _, a, b in pairs)
        return [False] * len(pairs)

    [divided] = divide_together([["do it", "do not do it", "do it"]], ["asked"], same)
    assert asked == [("do it", "do not do it")]
    assert divided.classes.tolist() == [0, 1, 0]
    [by_words] = divide_together([["do it", "do not do it"]], ["words"], same)
    assert by_words.classes.tolist() == [0, 0]  # they share half of four words


def test_several_lists_are_divided_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    lists = [[f"{LONG} {rng.integers(8)}" for _ in range(size)] for size in (1, 5, 0, 12)]
    calls = []

    def same(pairs: list[Pair]) -> list[bool]:
        calls.append(len(pairs))
        return [int(a[-1]) % 3 == int(b[-1]) % 3 for _, a, b in pairs]

    together = [one.classes.tolist() for one in divide_together(lists, ["words"] * 4, same)]
    alone = [divide_together([texts], ["words"], same)[0].classes.tolist() for texts in lists]
    assert together == alone
    assert max(together[3]) == 2
    assert max(calls[:3]) > max(calls[3:])  # the lists' pairs come together


def test_pairs_that_nobody_can_tell_are_different_and_too_many_make_it_unknown() -> None:
    texts = [f"{LONG} {index}" for index in range(11)]
    few = iter([None, *[True] * 9])
    [divided] = divide_together([texts], ["words"], lambda pairs: [next(few) for _ in pairs])
    assert divided.classes.tolist() == [0, 1, *[0] * 9]
    assert (divided.asked, divided.unread, divided.is_known) == (10, 1, True)
    [divided] = divide_together([texts[:2]], ["words"], lambda pairs: [None])
    assert not divided.is_known
