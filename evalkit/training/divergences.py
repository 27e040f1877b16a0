"""What holds a policy near its reference, and what keeps it wide: terms inside the reward, each with its optimum.

The objective is E[reward(y)] - beta D(policy || reference) + alpha H(policy), with D(policy || reference) = sum_y
reference(y) f(u) and u = policy(y) / reference(y), over whole completions y. Its gradient is that of a policy which
is rewarded with

    reward(y) - beta f'(u) - alpha log policy(y)

while the two terms are held fixed: f' stands for what D changes by, and a constant more or less changes nothing. At
the optimum this sum is the same for every completion, which says what the optimum is:

    reverse_kl      f  = u log u
                    f' = log u
                    policy = reference^(beta/(beta+alpha)) exp(reward/(beta+alpha)) / Z
    forward_kl      f  = -log u
                    f' = 1 - 1/u
                    policy = beta reference / (lambda - reward)
    jensen_shannon  f  = u log u - (u+1) log((u+1)/2)
                    f' = log(2u / (1+u))
                    policy = reference e / (2 - e), with e = exp((reward - lambda) / beta)

the last two for alpha = 0; lambda is what makes them add up to 1. f' is given up to the constant that makes it 0
where policy and reference agree. The reverse KL is a sum over tokens and lands on each of them; the others are
functions of the whole completion's ratio and land on its last token. 1/u grows without bound where the policy has
made a completion rare, so the forward KL is for short completions: over long ones few that were seldom drawn decide a
batch.

Sources: Wang et al. 2023, "Beyond Reverse KL" (f-divergences); Schulman 2020, "Approximating KL Divergence" (k1 to
k3); Williams and Peng 1991 (entropy in the reward).

Shapes: B episodes, R response tokens in padded columns; 0 on padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evalkit.training.config import Divergence, Estimator

MAX_LOG_RATIO = 20.0
"""Log-ratios are held below this: exp of more is no number to learn from."""


def divergence_terms(log_ratio: Tensor, mask: Tensor, divergence: Divergence, estimator: Estimator) -> Tensor:
    """[B, R]: f'(u) of each completion, laid on its tokens; `log_ratio` [B, R] is log policy - log reference."""
    if divergence == "reverse_kl":
        return kl_terms(log_ratio, estimator) * mask
    whole = (log_ratio * mask).sum(dim=1)  # [B] log u
    return on_last_token(slope(whole, divergence), mask)


def slope(log_ratio: Tensor, divergence: Divergence) -> Tensor:
    """f'(u) of whole completions from log u, any shape; 0 where u is 1."""
    if divergence == "reverse_kl":
        return log_ratio
    if divergence == "forward_kl":
        return -torch.expm1((-log_ratio).clamp(max=MAX_LOG_RATIO))
    return torch.nn.functional.logsigmoid(log_ratio) + torch.log(torch.tensor(2.0))


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
