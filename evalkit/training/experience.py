"""What one update has seen: its episodes, the networks' pass over them, what it learns from, and what is logged.

Shapes: B episodes (of this process), R response tokens in padded columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from evalkit.training.batch import Batch
from evalkit.training.distributed import sum_over_processes
from evalkit.training.output.curves import LogRow


@dataclass(frozen=True)
class Episodes:
    """Responses of one batch on this process, and what they earned."""

    prompt_index: list[int]
    """Which prompt each response answers."""
    responses: list[list[int]]
    batch: Batch
    rewards: Tensor
    """[B] as the reward model gives them."""
    scores: Tensor
    """[B] normalised, with the penalty of a missing end in place."""
    gold: Tensor | None
    """[B]"""
    ended: Tensor
    """[B] bool: the response ended by itself."""
    of_reference: Batch | None = None
    """What the reference says to the same prompts, where a forward KL holds the policy near it."""


@dataclass(frozen=True)
class ForwardPass:
    """Policy, reference and value network at every token of a batch, each [B, R], 0 on padding."""

    log_probs: Tensor
    reference_log_probs: Tensor
    kl: Tensor
    """KL(policy || reference) of the next-token distribution at each visited state, exact: nats, never negative."""
    entropy: Tensor
    """Entropy of the policy's next-token distribution at each visited state, nats."""
    values: Tensor


@dataclass(frozen=True)
class Experience:
    """What the steps of an update learn from; per-token tensors are [B, R]."""

    batch: Batch
    log_probs: Tensor
    reference_log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    of_reference: Batch | None = None
    unit: float = 1.0
    """What advantages were divided by: a loss beside theirs is divided by it too."""


def batch_statistics(
    episodes: Episodes, passed: ForwardPass, experience: Experience, accelerator: Accelerator
) -> LogRow:
    """What a batch says of the policy that it was sampled from, over all processes."""
    mask = episodes.batch.response_mask
    sequences = sum_over_processes(torch.tensor(float(len(mask))), accelerator)
    tokens = sum_over_processes(mask.sum(), accelerator)

    def mean(values: Tensor) -> float:
        """Of values [B], or of sums over the tokens of each sequence, [B, R]."""
        return float(sum_over_processes(values.double().sum(), accelerator) / sequences)

    row: LogRow = {
        "reward": mean(episodes.rewards),
        "score": mean(episodes.scores),
        "kl": mean(passed.kl),
        "kl_k1": mean(passed.log_probs - passed.reference_log_probs),
        "entropy": mean(passed.entropy),
        "entropy_token": float(sum_over_processes(passed.entropy.sum(), accelerator) / tokens),
        "explained_variance": explained_variance(experience, mask, tokens, accelerator),
        "eos_rate": mean(episodes.ended.float()),
        "length": mean(mask.float()),
    }
    return row | ({"gold": mean(episodes.gold)} if episodes.gold is not None else {})


def explained_variance(experience: Experience, mask: Tensor, tokens: Tensor, accelerator: Accelerator) -> float | None:
    """1 - Var[returns - values] / Var[returns] over all processes; None where returns are all the same."""

    def squares(values: Tensor) -> Tensor:
        """Sum of squared deviations from the mean."""
        mean = sum_over_processes((values * mask).sum(), accelerator) / tokens
        return sum_over_processes(((values - mean).square() * mask).sum(), accelerator)

    of_returns, of_errors = squares(experience.returns), squares(experience.returns - experience.values)
    return float(1 - of_errors / of_returns) if float(of_returns) > 0 else None
