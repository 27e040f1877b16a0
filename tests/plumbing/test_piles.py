"""Objects come back from disk as they came, in their order or by their keys, here and in another process."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.plumbing import piles
from evalkit.plumbing.piles import Pile, Piled, Sorted, SortedLists

texts = st.lists(st.tuples(st.sampled_from("abc"), st.text(st.characters(exclude_categories=()), max_size=9)))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "FEW", 3)
    monkeypatch.setattr(piles, "AT_ONCE", 2)
    monkeypatch.setattr(piles, "BUFFER", 64)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts)
def test_a_pile_is_the_list_of_what_was_laid_on_it(items: list[tuple[str, str]]) -> None:
    pile: Pile[tuple[str, str]] = Pile()
    for item in items:
        pile.add(item, len(item[1]))
    found = pile.items()
    assert isinstance(found, Piled) == (len(items) > 3)
    for one in (found, pickle.loads(pickle.dumps(found))):
        assert list(one) == items
        assert [one[place] for place in reversed(range(len(items)))] == items[::-1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, st.booleans())
def test_what_is_sorted_stands_by_its_key_in_the_order_in_which_it_came(
    items: list[tuple[str, str]], on_disk: bool
) -> None:
    known: Sorted[str, str] = Sorted(on_disk)
    for key, item in items:
        known.add(key, item, len(item))
    found = known.lists("cab")
    assert isinstance(found, SortedLists) == on_disk
    for one in (found, pickle.loads(pickle.dumps(found))):
        assert [list(of_key) for of_key in one] == [[item for key, item in items if key == name] for name in "cab"]


def test_few_objects_of_many_letters_lie_on_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "FEW_LETTERS", 100)
    pile: Pile[str] = Pile()
    for _ in range(2):
        pile.add("x" * 60, 60)
    assert isinstance(pile.items(), Piled)


@pytest.mark.parametrize("is_sorted", [True, False])
def test_memory_does_not_grow_with_the_objects(monkeypatch: pytest.MonkeyPatch, is_sorted: bool) -> None:
    monkeypatch.setattr(piles, "FEW", 200)
    monkeypatch.setattr(piles, "AT_ONCE", 50)
    monkeypatch.setattr(piles, "BUFFER", 1 << 12)

    def texts(count: int) -> Iterator[str]:
        return (f"{place} " * 200 for place in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        if is_sorted:
            known: Sorted[int, str] = Sorted(on_disk=True)
            for place, text in enumerate(texts(count)):
                known.add(place % 10, text, len(text))
            assert sum(map(len, known.lists(range(10)[:1]))) == count // 10
        else:
            pile: Pile[str] = Pile()
            for text in texts(count):
                pile.add(text, len(text))
            assert sum(1 for _ in pile.items()) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few, many = peak(1000), peak(3000)
    # In memory each takes 1 KB; one key's are looked at together.
    assert (many - few) / 2000 < (250 if is_sorted else 50)
