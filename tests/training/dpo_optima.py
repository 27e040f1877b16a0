"""The best policies that DPO's options have, in closed form up to one number that makes them add up to 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from evalkit.training.config import Divergence


def optimum(
    log_reference: Tensor, rewards: Tensor, beta: float, divergence: Divergence, lengths: Tensor | None = None
) -> Tensor:
    """[N] log-probs of the policy whose implicit rewards differ as `rewards` do, from [N] log-probs and rewards.

    With `lengths`, [N], those of the length-normalised loss: beta log(u) / length = reward - lambda.
    """
    highest = float(rewards.max())
    if lengths is not None:
        return _adding_up(lambda at: log_reference + lengths * (rewards - at) / beta, highest - 100, highest + 100)
    if divergence == "reverse_kl":  # log u = (reward - lambda) / beta
        return (log_reference + rewards / beta).log_softmax(dim=0)
    if divergence == "forward_kl":  # -1 / u = (reward - lambda) / beta
        return _adding_up(lambda at: log_reference + torch.log(beta / (at - rewards)), highest, highest + 100)
    # log(2 u / (1 + u)) = (reward - lambda) / beta, with e = exp of it: u = e / (2 - e), where e < 2
    return _adding_up(
        lambda at: log_reference - torch.log(2 * torch.exp((at - rewards) / beta) - 1),
        highest - beta * math.log(2),
        highest + 100,
    )


def _adding_up(log_probs: Callable[[float], Tensor], low: float, high: float) -> Tensor:
    """The log-probs that add up to 1; their sum falls in lambda, from infinity above `low` to less than 1 at `high`."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float(log_probs(middle).exp().sum()) > 1 else (low, middle)
    return log_probs(high)


def objective(log_probs: Tensor, log_reference: Tensor, rewards: Tensor, beta: float, divergence: Divergence) -> float:
    """E[reward] - beta D_f, D_f = sum of reference f(policy / reference)."""
    log_ratios = log_probs - log_reference
    ratios = log_ratios.exp()
    terms = {
        "reverse_kl": ratios * log_ratios,
        "forward_kl": -log_ratios,
        "jensen_shannon": ratios * log_ratios - (ratios + 1) * torch.log((ratios + 1) / 2),
    }
    return float((log_probs.exp() * rewards).sum() - beta * (log_reference.exp() * terms[divergence]).sum())


def distance(one: Tensor, other: Tensor) -> float:
    """Total variation of two distributions, given as log-probs."""
    return float((one.exp() - other.exp()).abs().sum() / 2)
