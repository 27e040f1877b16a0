"""The advantage of group-relative policy optimisation (Shao et al. 2024, "DeepSeekMath"), and its KL.

    advantage_i = (reward(y_i) - mean of the group) / (its deviation + EPSILON)     scale: group, as published
    advantage_i =  reward(y_i) - mean of the group                                  scale: none (Liu et al. 2025)
    kl: loss       beta times k3 = reference/policy - 1 + log(policy/reference) at each token, with its gradient
    kl: reward     beta times log(policy(y)/reference(y)) inside the reward; it is never divided by the deviation

Neither of the published choices has the optimum that people think of.

`scale: group` divides by what the policy itself decides: where a prompt's completions earn about the same, small
differences count as much as large ones do elsewhere. In a group of two every advantage is +-1/sqrt(2), whatever the
rewards: what rises is how often one answer beats another, and no reward is too small to be sought. Its fixed point is
reference(y) exp(A(y) G / ((G - 1) beta)), normalised, where A(y) is the expected advantage of y beside others of the
same policy, and G the size of the group.

`kl: loss` differentiates k3 at tokens that the policy drew: (1 - reference/policy) times the gradient of log policy,
which is on average that of the FORWARD KL of the next token, KL(reference || policy), at the states that the policy
visits. With one token a completion, and `scale: none`, the fixed point is b reference / (lambda - reward) with b =
beta G / (G - 1), and not the tilt.

With `scale: none` and `kl: reward` the optimum is PPO's: reference(y) exp(reward(y) / beta), normalised. The mean of
the group holds 1/G of y itself, which shrinks what a reward moves by (G - 1)/G; the KL inside it shrinks alike, a KL
as a loss does not.

The steps are in `evalkit.training.policy_gradient`.
"""

from __future__ import annotations

from torch import Tensor

from evalkit.training.config import GrpoConfig
from evalkit.training.divergences import kl_terms

EPSILON = 1e-4
"""Added to a group's standard deviation: where all earn the same there is nothing to learn."""


def group_advantages(scores: Tensor, penalties: Tensor, config: GrpoConfig) -> Tensor:
    """[B] advantages from [B] scores and [B] terms inside the reward; `samples` that stand together are a group."""
    earned = _centred(scores, config.samples)
    if config.scale == "group":
        # n - 1, as the implementations that people use have it.
        earned = earned / (earned.square().sum(dim=1, keepdim=True) / (config.samples - 1)).sqrt().add(EPSILON)
    return (earned + _centred(penalties, config.samples)).reshape(-1)


def kl_loss(log_ratio: Tensor) -> Tensor:
    """[b, R]: k3 of log policy - log reference at tokens that the policy drew, to be differentiated."""
    return kl_terms(log_ratio, "k3")


def _centred(values: Tensor, samples: int) -> Tensor:
    """[prompts, samples]: each group without its mean."""
    groups = values.reshape(-1, samples)
    return groups - groups.mean(dim=1, keepdim=True)
