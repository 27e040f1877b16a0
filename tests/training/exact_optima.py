"""Where objectives lead on a language that can be enumerated, computed without sampling and without a network.

Shapes: S sequences; log-probs and rewards are [S], float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.training import toy


def tilt(log_reference: Tensor, rewards: Tensor, beta: float, alpha: float = 0.0) -> Tensor:
    """Best of reward - beta KL(policy || reference) + alpha entropy."""
    return ((beta * log_reference + rewards) / (beta + alpha)).log_softmax(dim=0)


def forward_kl_optimum(log_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Best of reward - beta KL(reference || policy): beta reference / (lambda - reward)."""

    def policy(level: Tensor) -> Tensor:
        return (beta * log_reference.exp() / (level - rewards)).log()

    top = rewards.max()
    return adding_up_to_1(policy, top + 1e-9, top + beta)


def jensen_shannon_optimum(log_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Best of reward - beta sum reference f(policy / reference), f(u) = u log u - (u + 1) log((u + 1) / 2)."""

    def policy(level: Tensor) -> Tensor:
        tilted = ((rewards - level) / beta).exp()
        return log_reference + (tilted / (2 - tilted)).log()

    # e = exp((reward - level) / beta) must stay below 2.
    top = rewards.max()
    return adding_up_to_1(policy, top - beta * 0.6931471805599453 + 1e-9, top + 1e3 * beta)


def adding_up_to_1(policy: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """The log-probs `policy(level)` at the level where they add up to 1; the sum falls with the level."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float(policy(middle).exp().sum()) > 1 else (low, middle)
    found = policy((low + high) / 2)
    assert abs(float(found.exp().sum()) - 1) < 1e-6
    return found


def fixed_point(log_reference: Tensor, advantage: Callable[[Tensor], Tensor], beta: float) -> Tensor:
    """Log-probs that are log reference + advantage(log-probs) / beta up to a constant, by damped iteration."""
    policy = log_reference
    for _ in range(5000):
        policy = (0.9 * policy + 0.1 * (log_reference + advantage(policy) / beta)).log_softmax(dim=0)
    again = (log_reference + advantage(policy) / beta).log_softmax(dim=0)
    assert float((again - policy).abs().max()) < 1e-6
    return policy


def distinct_optimum(log_reference: Tensor, rewards: Tensor, beta: float, samples: int) -> Tensor:
    """Where quality times the share of others that differ leads, with leave-one-out baselines."""
    quality, taken_back = rewards.sigmoid(), (samples - 2) / (samples - 1)
    return fixed_point(log_reference, lambda policy: quality * (1 - taken_back * policy.exp()), beta)


def grpo_scaled_optimum(log_reference: Tensor, rewards: Tensor, beta: float, samples: int) -> Tensor:
    """Where group advantages divided by the group's deviation lead, with the KL inside the reward."""

    def advantage(policy: Tensor) -> Tensor:
        return expected_group_advantage(policy, rewards, samples) * samples / (samples - 1)

    return fixed_point(log_reference, advantage, beta)


def expected_group_advantage(policy: Tensor, rewards: Tensor, samples: int) -> Tensor:
    """[S]: of each sequence beside `samples` - 1 others drawn from the policy, over all groups there are."""
    from evalkit.training.grpo import EPSILON

    count = len(rewards)
    others = torch.cartesian_prod(*[torch.arange(count)] * (samples - 1)).reshape(-1, samples - 1)  # [groups, n - 1]
    weight = policy[others].sum(dim=1).exp()  # [groups]
    of_others = rewards[others]  # [groups, n - 1]
    mean = (rewards[:, None] + of_others.sum(dim=1)) / samples  # [S, groups]
    squares = (rewards[:, None] - mean).square() + (of_others[None] - mean[..., None]).square().sum(dim=2)
    scaled = (rewards[:, None] - mean) / ((squares / (samples - 1)).sqrt() + EPSILON)
    return (scaled * weight).sum(dim=1)


def kl_loss_optimum(log_reference: Tensor, rewards: Tensor, beta: float, samples: int) -> Tensor:
    """Where rewards without their group's mean and k3 as a loss lead: the expected gradient of both, followed.

    The policy is a table: logits of the next token after every beginning. Log-probs are those of `toy.responses`.
    """
    reference = Table(log_reference)
    logits = reference.next_log_probs.clone().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.05)
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 3000)
    for _ in range(3000):
        policy = reference.sequences(logits.log_softmax(dim=1))
        expected = policy.detach().exp() * (rewards - (policy.detach().exp() * rewards).sum()) * (samples - 1) / samples
        next_ = logits.log_softmax(dim=1)  # [states, tokens]
        held = -(reference.next_log_probs.exp() * next_).sum(dim=1)  # [states], cross entropy with the reference
        visited = reference.visits(policy.detach().exp())  # [states]
        loss = -(expected * policy).sum() + beta * (visited * held).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps.step()
    return reference.sequences(logits.log_softmax(dim=1)).detach()


class Table:
    """A distribution over `toy.responses` as next-token distributions of its beginnings."""

    def __init__(self, log_probs: Tensor) -> None:
        every = toy.responses()
        begins = [[tuple(response[:end]) for end in range(len(response))] for response in every]
        states = {begin: row for row, begin in enumerate(sorted({begin for row in begins for begin in row}))}
        self._passes = torch.zeros(len(states), len(every), dtype=log_probs.dtype)  # 1 where a response comes by
        self._steps = torch.zeros(len(every), len(states), toy.LETTERS + 1, dtype=log_probs.dtype)
        for row, (response, on_the_way) in enumerate(zip(every, begins, strict=True)):
            for begin, token in zip(on_the_way, response, strict=True):
                self._passes[states[begin], row] = self._steps[row, states[begin], token] = 1
        tokens = torch.einsum("r,rst->st", log_probs.exp(), self._steps)
        self.next_log_probs = (tokens / self.visits(log_probs.exp())[:, None]).log()

    def visits(self, probs: Tensor) -> Tensor:
        """[states]: how often each is come by."""
        return self._passes @ probs

    def sequences(self, next_log_probs: Tensor) -> Tensor:
        """[S] log-probs."""
        return torch.einsum("rst,st->r", self._steps, next_log_probs)
