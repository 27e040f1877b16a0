"""Bradley-Terry (1952): of two completions, a is preferred to b with probability sigmoid(r(a) - r(b)).

What every reward model here learns by, whatever its network and its optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

Exchange = TypeVar("Exchange")


def pair_rewards(
    rewards_of: Callable[[Sequence[Exchange]], Tensor], chosen: Sequence[Exchange], rejected: Sequence[Exchange]
) -> tuple[Tensor, Tensor]:
    """[n] rewards of the chosen and of the rejected completions, from one forward pass over all 2 n."""
    rewards = rewards_of([*chosen, *rejected])  # [2 n]
    return rewards[: len(chosen)], rewards[len(chosen) :]


def preference_loss(margins: Tensor, targets: Tensor | None = None) -> Tensor:
    """[n] -log P(chosen preferred), nats, from r(chosen) - r(rejected).

    `targets`, [n] in [0, 1], are soft labels: the cross entropy to being preferred with that probability, 1/2 of a tie.
    """
    if targets is None:
        return -nn.functional.logsigmoid(margins)
    return -targets * nn.functional.logsigmoid(margins) - (1 - targets) * nn.functional.logsigmoid(-margins)


def draw_head(head: nn.Linear, generator: torch.Generator | None = None) -> None:
    """Weights from N(0, 1 / (d + 1)), d being what goes in, and no bias (Ziegler et al. 2019).

    Drawn from torch's global generator, or from one that is given: reward models that are trained at the same time need
    one each.
    """
    nn.init.normal_(head.weight, std=(head.in_features + 1) ** -0.5, generator=generator)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
