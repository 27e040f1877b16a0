"""The advantage of REINFORCE leave-one-out (Kool et al. 2019; Ahmadian et al. 2024, "Back to Basics").

    R(y)         = reward(y) - beta log(policy(y) / reference(y))           of the whole completion
    advantage_i  = R(y_i) - mean over j != i of R(y_j)                      the same at all of its tokens

What was to be expected is what the prompt's other completions got, so there is no value network. They were drawn
without regard to y_i, so the baseline changes nothing of the expected gradient, and the optimum is PPO's:
reference(y) exp(reward(y) / beta), normalised. The steps are in `evalkit.training.policy_gradient`.
"""

from __future__ import annotations

from torch import Tensor


def leave_one_out(rewards: Tensor, samples: int) -> Tensor:
    """[B] advantages from [B] rewards, of which each `samples` that stand together answer one prompt."""
    groups = rewards.reshape(-1, samples)  # [prompts, samples]
    others = (groups.sum(dim=1, keepdim=True) - groups) / (samples - 1)
    return (groups - others).reshape(-1)
