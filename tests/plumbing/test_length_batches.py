"""Batches by length: nothing lost, nothing twice, never more than fits."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.plumbing.length_batches import by_length, in_parts

MOST = 500


@given(st.lists(st.integers(1, 900), max_size=60))
def test_batches_hold_each_text_once_and_stay_small(lengths: list[int]) -> None:
    batches = list(by_length(lengths, MOST))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= MOST for batch in batches)


@given(st.lists(st.integers(1, 900), max_size=60))
def test_texts_of_a_length_go_together(lengths: list[int]) -> None:
    ordered = [lengths[index] for batch in by_length(lengths, MOST) for index in batch]
    assert ordered == sorted(lengths)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 40))
def test_what_memory_does_not_hold_is_computed_in_halves(items: list[int], room: int) -> None:
    asked: list[int] = []

    def compute(batch: Sequence[int]) -> list[int]:
        if len(batch) > room:
            raise MemoryError
        asked.append(len(batch))
        return [item + 1 for item in batch]

    assert in_parts(items, compute) == [item + 1 for item in items]
    assert sum(asked) == len(items)
    assert len(items) > room or asked == [len(items)]


@pytest.mark.parametrize("error", [MemoryError("one text"), ValueError("no lack of memory")])
def test_what_no_half_mends_is_raised(error: Exception) -> None:
    asked: list[int] = []

    def compute(batch: Sequence[int]) -> list[int]:
        asked.append(len(batch))
        raise error

    with pytest.raises(type(error), match=str(error)):
        in_parts([1, 2, 3, 4], compute)
    assert asked == ([4, 2, 1] if isinstance(error, MemoryError) else [4])
