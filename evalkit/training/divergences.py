"""What holds a policy near its reference, and what keeps it wide, each with its optimum.

The objective is E[reward(y)] - beta D(policy || reference) + alpha H(policy), with D(policy || reference) = sum_y
reference(y) f(u) and u = policy(y) / reference(y), over whole completions y. Its gradient is that of a policy which is
rewarded with

    reward(y) - beta f'(u) - alpha log policy(y)

while the two terms are held fixed: f' stands for what D changes by, and a constant more or less changes nothing. At the
optimum this sum is the same for every completion, which says what the optimum is:

    reverse_kl      f  = u log u
                    f' = log u
                    policy = reference^(beta/(beta+alpha)) exp(reward/(beta+alpha)) / Z
    forward_kl      f  = -log u
                    f' = -1/u
                    policy = beta reference / (lambda - reward)
    jensen_shannon  f  = u log u - (u+1) log((u+1)/2)
                    f' = log(2u / (1+u))
                    policy = reference e / (2 - e), with e = exp((reward - lambda) / beta)

the last two for alpha = 0; lambda is what makes them add up to 1. f' is given up to a constant; here it is 0 where
policy and reference agree. The reverse KL is a sum over tokens and lands on each of them; Jensen-Shannon is a function
of the whole completion's ratio and lands on its last token.

The forward KL stands not in the reward: 1/u grows without bound where the policy has made a completion rare, and is
then hardly ever drawn. It is sum_y reference(y) log(reference(y) / policy(y)), a sum over
the tokens of what the reference says, so that is drawn, and the next token's KL taken exactly at each state on its way
(`forward_kl_loss` in `policy_gradient`).

Sources: Wang et al. 2023, "Beyond Reverse KL" (f-divergences); Schulman 2020, "Approximating KL Divergence" (k1 to k3);
Williams and Peng 1991 (entropy in the reward); Ouyang et al. 2022 (a loss on other texts beside PPO).

Shapes: B episodes, R response tokens in padded columns; 0 on padding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evalkit.training.config import Divergence, Estimator


def divergence_terms(log_ratio: Tensor, mask: Tensor, divergence: Divergence, estimator: Estimator) -> Tensor:
    """[B, R]: f'(u) of each completion, laid on its tokens; `log_ratio` [B, R] is log policy - log reference."""
    if divergence == "reverse_kl":
        return kl_terms(log_ratio, estimator) * mask
    assert divergence == "jensen_shannon", "the forward KL is a loss of its own"
    return on_last_token(jensen_shannon_slope((log_ratio * mask).sum(dim=1)), mask)


def jensen_shannon_slope(log_ratio: Tensor) -> Tensor:
    """f'(u) = log(2u / (1 + u)) of whole completions from log u, any shape."""
    return torch.nn.functional.logsigmoid(log_ratio) + math.log(2)


def kl_terms(log_ratio: Tensor, estimator: Estimator) -> Tensor:
    """An estimate of KL(policy || reference) at each sampled token, from log policy - log reference (Schulman 2020).

    Inside a reward only k1 leads to the right optimum. The expected gradient of k2 and k3 there is that of another
    objective: they are never negative, so they also punish tokens that the policy has made rarer.
    """
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return log_ratio.square() / 2
    return torch.expm1(-log_ratio) + log_ratio


def on_last_token(values: Tensor, mask: Tensor) -> Tensor:
    """[B, R]: `values`, [B], on the last token of each response, 0 elsewhere."""
    last = mask.long().sum(dim=1) - 1  # [B]
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).scatter(1, last[:, None], values[:, None])
