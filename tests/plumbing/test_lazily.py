"""A lazy sequence is the sequence that it stands for."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.plumbing.lazily import Mapped, Picked, Watched, each, is_lazy, origin


def with_place(index: int, number: int) -> tuple[int, int]:
    return index, number


@given(st.lists(st.integers()), st.slices(8))
def test_a_mapped_sequence_is_the_list_of_its_items(numbers: list[int], part: slice) -> None:
    whole = [with_place(*pair) for pair in enumerate(numbers)]
    lazy = Mapped(numbers, with_place)
    assert list(lazy) == whole == list(pickle.loads(pickle.dumps(lazy)))
    assert lazy[part] == whole[part]
    assert [lazy[index] for index in range(-len(whole), len(whole))] == [*whole, *whole]
    with pytest.raises(IndexError):
        lazy[len(whole)]


def test_each_changes_lists_at_once_and_lazy_sequences_on_a_look() -> None:
    assert each([3, 4], with_place) == [(0, 3), (1, 4)]
    lazy = each(Mapped([3, 4], with_place), lambda index, pair: pair[1])
    assert is_lazy({"a": lazy})
    assert list(lazy) == [3, 4]
    assert origin(lazy) == [3, 4]
    assert list(Picked(lazy, (1, 1, 0))) == [4, 4, 3]


def test_a_watched_sequence_tells_of_each_item_once() -> None:
    looked: list[int] = []
    watched = Watched("abc", looked.append)
    assert [*watched, watched[1], *watched[:2]] == ["a", "b", "c", "b", "a", "b"]
    assert looked == [1, 1, 1]
