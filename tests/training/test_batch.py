"""Padding is on the left of prompts and on the right of responses, is told by the mask alone, and is never needed."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.training.batch import Batch, microbatches, pack

PAD = 77
TOKENS = st.integers(0, 9)
PAIRS = st.lists(st.tuples(st.lists(TOKENS, min_size=1, max_size=5), st.lists(TOKENS, max_size=5)), min_size=1, max_size=6)  # fmt: skip
Pairs = list[tuple[list[int], list[int]]]


def packed(pairs: Pairs) -> Batch:
    return pack([prompt for prompt, _ in pairs], [response for _, response in pairs], PAD)


@given(PAIRS)
def test_every_token_is_there_once_and_responses_begin_in_one_column(pairs: Pairs) -> None:
    batch = packed(pairs)
    for row, (prompt, response) in enumerate(pairs):
        assert batch.ids[row][batch.mask[row]].tolist() == [*prompt, *response]
        assert batch.responses[row][batch.response_mask[row]].tolist() == response
    assert (batch.ids[~batch.mask] == PAD).all()
    assert batch.prompt_width == max(len(prompt) for prompt, _ in pairs)


@given(PAIRS)
def test_positions_count_from_0_in_every_sequence(pairs: Pairs) -> None:
    batch = packed(pairs)
    for row, (prompt, response) in enumerate(pairs):
        assert batch.positions[row][batch.mask[row]].tolist() == list(range(len(prompt) + len(response)))
    assert (batch.positions >= 0).all()


@given(PAIRS, st.data())
def test_some_rows_are_a_batch_without_the_columns_of_the_others(pairs: Pairs, data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=6))
    part = packed(pairs).rows(torch.tensor(index))
    alone = packed([pairs[i] for i in index])
    assert torch.equal(part.ids, alone.ids)
    assert torch.equal(part.mask, alone.mask)
    assert part.prompt_width == alone.prompt_width


@given(PAIRS, st.integers(1, 7))
def test_microbatches_hold_every_sequence_once_in_order_of_length(pairs: Pairs, size: int) -> None:
    batch = packed(pairs)
    parts = microbatches(batch, torch.arange(len(batch)), size)
    assert all(len(part) <= size for part in parts)
    order = [int(i) for part in parts for i in part]
    assert sorted(order) == list(range(len(pairs)))
    lengths = [sum(map(len, pairs[i])) for i in order]
    assert lengths == sorted(lengths)


def test_the_end_token_may_be_the_padding_too() -> None:
    batch = pack([[4], [1, 2]], [[3, 4], [4]], pad=4)
    assert batch.mask.sum(dim=1).tolist() == [3, 3]
    assert batch.response_mask.tolist() == [[True, True], [True, False]]
