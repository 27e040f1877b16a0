"""Two reward models learn by one Bradley-Terry loss; its oracle is the definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.training.bradley_terry import draw_head, pair_rewards, preference_loss


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=5))
def test_the_loss_is_minus_the_log_of_the_probability_of_what_was_chosen(margins: list[float]) -> None:
    losses = preference_loss(torch.tensor(margins, dtype=torch.float64)).tolist()
    assert losses == pytest.approx([math.log1p(math.exp(-margin)) for margin in margins], rel=1e-9)


def test_both_sides_of_a_pair_go_through_the_network_together_and_come_back_apart() -> None:
    passes: list[list[float]] = []

    def rewards_of(exchanges: list[float]) -> torch.Tensor:
        passes.append(list(exchanges))
        return torch.tensor(exchanges)

    chosen, rejected = pair_rewards(rewards_of, (1.0, 2.0, 3.0), (-1.0, -2.0, -3.0))
    assert passes == [[1.0, 2.0, 3.0, -1.0, -2.0, -3.0]]
    assert chosen.tolist() == [1.0, 2.0, 3.0]
    assert rejected.tolist() == [-1.0, -2.0, -3.0]


def test_a_head_is_drawn_by_its_own_generator_with_the_deviation_that_its_inputs_ask_for() -> None:
    head, again = torch.nn.Linear(399, 50), torch.nn.Linear(399, 50)
    torch.manual_seed(1)
    draw_head(head, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    draw_head(again, torch.Generator().manual_seed(5))
    assert torch.equal(head.weight, again.weight)
    assert not head.bias.any()
    assert float(head.weight.detach().std()) == pytest.approx(1 / 20, rel=0.02)
