"""What a ladder of checkpoints begins with."""

from __future__ import annotations

from pathlib import Path

import torch

from evalkit.records import Prompt
from evalkit.suite import CheckpointSpec, Frame
from evalkit.training.batch import pack
from evalkit.training.config import PpoConfig
from evalkit.training.ladder import critic_of
from evalkit.training.models import load_policy, response_values
from evalkit.training.scoring import Scale
from tests.training import toy


def test_without_a_reward_model_values_begin_at_the_rewards_mean_on_their_scale_and_can_leave_it(
    tmp_path: Path,
) -> None:
    spec = CheckpointSpec(path=toy.checkpoint(tmp_path), kind="base", frame=Frame(template="{prompt}"))
    config = PpoConfig.model_validate(
        {
            "name": "toy",
            "policy": spec,
            "reward": {"utility": {"words": 1}},
            "beta": 1.0,
            "prompts": (Prompt("p", "a"),),
        }
    )
    critic = critic_of(config, load_policy("policy", spec), Scale(mean=3.0, deviation=2.0))
    batch = pack([[0, 1], [2]], [[1, toy.EOS], [3, 2]])
    values = response_values(critic, batch)
    assert values.eq(0).all()
    (values - 1).square().sum().backward()
    torch.optim.SGD(critic.parameters(), lr=0.1).step()
    assert response_values(critic, batch).abs().min() > 0
