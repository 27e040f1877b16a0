"""The advantage of proximal policy optimisation (Schulman et al. 2017; Ziegler et al. 2019; Huang et al. 2024).

    reward_t     = -beta log(policy / reference) at token t, and the score on the last one
    delta_t      = reward_t + value_{t+1} - value_t
    advantage_t  = delta_t + lambda advantage_{t+1}                         (GAE with gamma = 1)
    return_t     = advantage_t + value_t                                    what the value network learns
    loss         = -min(ratio advantage, clip(ratio) advantage), and value_weight times the value network's

The value network says what was to be expected at every token; the advantage is what came beyond it. The optimum is
reference(y) exp(reward(y) / beta), normalised. gamma is 1, as a discount would move it. The steps, which it shares
with RLOO and GRPO, are in `evalkit.training.policy_gradient`.

Shapes: B episodes (of this process), R response tokens in padded columns.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor

from evalkit.training.distributed import sum_over_processes
from evalkit.training.divergences import on_last_token


def token_rewards(scores: Tensor, terms: Tensor, mask: Tensor) -> Tensor:
    """[B, R]: the terms inside the reward at every token, [B, R]; the score, [B], lands on the last one."""
    return terms + on_last_token(scores.to(terms), mask)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> Tensor:
    """Generalised advantage estimates, [B, R], with gamma = 1 (Schulman et al. 2016); 0 on padding.

    With `lam` = 1, advantage + value is the sum of all rewards to come.
    """
    advantages = torch.zeros_like(rewards)  # [B, R]
    last_advantage = torch.zeros_like(rewards[:, 0])  # [B]
    next_value = torch.zeros_like(rewards[:, 0])  # [B]
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + next_value - values[:, t]
        last_advantage = torch.where(mask[:, t], delta + lam * last_advantage, 0.0)
        next_value = torch.where(mask[:, t], values[:, t], 0.0)
        advantages[:, t] = last_advantage
    return advantages


def whiten(values: Tensor, mask: Tensor, accelerator: Accelerator) -> Tensor:
    """Mean 0 and standard deviation 1 over the tokens of all processes; 0 on padding."""
    mean, deviation = moments(values, mask, accelerator)
    return (values - mean) * mask / deviation


def moments(values: Tensor, mask: Tensor, accelerator: Accelerator) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the tokens of all processes."""
    tokens = sum_over_processes(mask.sum(), accelerator)
    mean = sum_over_processes((values * mask).sum(), accelerator) / tokens
    variance = sum_over_processes(((values - mean).square() * mask).sum(), accelerator) / tokens
    return mean, (variance + 1e-8).sqrt()


def clipped_squares(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """[b, R]: the value network's squared errors, where to step further than `clip` from old values earns nothing."""
    clipped = old + (values - old).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (clipped - returns).square())
