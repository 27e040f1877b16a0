"""Batches by length: nothing lost, nothing twice, never more than fits."""

from hypothesis import given
from hypothesis import strategies as st

from evalkit.plumbing.length_batches import by_length

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
