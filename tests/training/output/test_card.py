"""What a trained policy's model card says."""

from __future__ import annotations

from typing import Any

from evalkit.training.output.card import policy_card

FACTS: dict[str, Any] = {
    "method": "PPO", "objective": "reward - 0.05 KL(policy || start)", "policy": "a/b", "reward_from": "-0.1 words",
    "beta": 0.05, "episodes": 512, "seed": 0,
    "temperature": 1.0, "reward_mean": -2.1, "reward_deviation": 0.8, "reached": {"kl": 7.0},
}  # fmt: skip


def test_the_card_says_on_what_scale_beta_was_applied() -> None:
    assert "(mean\n-2.1, deviation 0.8) before beta was applied." in policy_card("x", FACTS)
    raw = policy_card("x", FACTS | {"reward_mean": 0.0, "reward_deviation": 1.0})
    assert "rewards were not normalised" in raw
    assert "mean 0" not in raw
