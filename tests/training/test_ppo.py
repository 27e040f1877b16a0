"""PPO against what is known exactly: the optimum of an enumerable language, and identities of its parts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from evalkit.records import Prompt
from evalkit.suite import CheckpointSpec, Frame
from evalkit.training import ppo
from evalkit.training.config import PpoConfig
from evalkit.training.models import Policy, fresh_value_network, load_policy
from evalkit.training.scoring import Asked, Scale
from tests.training import toy

PROMPTS = ("a", "b c d", "d d")
"""Of different lengths, so that they are padded."""


@dataclass
class Setting:
    config: PpoConfig
    policy: Policy
    learner: ppo.Learner
    asked: Asked
    judged: ppo.Judged
    rewards: Tensor
    """[prompts, 85] in the order of `toy.responses`."""


def setting(folder: Path, seed: int, kind: str = "llama", **changes: object) -> Setting:
    spec = CheckpointSpec(path=toy.checkpoint(folder, kind), kind="base", frame=Frame(template="{prompt}"))
    prompts = tuple(Prompt(f"p{i}", text) for i, text in enumerate(PROMPTS))
    given = {
        "name": "toy", "seed": seed, "policy": spec, "reward": {"utility": {"words": 1}}, "beta": 1.0, "prompts": prompts,
        "sampling": {"max_tokens": toy.LONGEST}, "missing_eos": None, "updates": 100, "batch": 256, "epochs": 2,
        "minibatches": 4, "microbatch": 64, "learning_rate": 3e-3, "gae_lambda": 1.0, "normalise": False,
    }  # fmt: skip
    config = PpoConfig.model_validate(given | changes)
    policy = load_policy("policy", spec)
    asked = Asked(prompts, policy.prompt_ids(prompts, toy.LONGEST))
    rewards = torch.randn(len(prompts), len(toy.responses()), generator=torch.Generator().manual_seed(100 + seed))
    place = {tuple(response): i for i, response in enumerate(toy.responses())}

    def reward(which: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        return torch.stack([rewards[i, place[tuple(response)]] for i, response in zip(which, responses, strict=True)])

    critic = fresh_value_network(spec, seed)
    reference = copy.deepcopy(policy.model)
    learner = ppo.prepare(config, policy, critic, reference, config.beta[0], Accelerator(cpu=True))
    return Setting(config, policy, learner, asked, ppo.Judged(reward, Scale()), rewards)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_optimum_is_reached_through_the_real_sampler(tmp_path: Path, seed: int) -> None:
    its = setting(tmp_path, seed)
    references = [toy.log_law(its.policy, ids) for ids in its.asked.ids]
    for _ in ppo.updates(its.config, its.learner, its.asked, its.judged):
        pass
    for prompt, (ids, reference) in enumerate(zip(its.asked.ids, references, strict=True)):
        best, objective = toy.optimum(reference, its.rewards[prompt].double(), beta=1.0)
        law = toy.log_law(its.policy, ids)
        reached = float((law.exp() * (its.rewards[prompt].double() - (law - reference))).sum())
        distance = float((law.exp() - best.exp()).abs().sum() / 2)
        kl, best_kl = (float((p.exp() * (p - reference)).sum()) for p in (law, best))
        print(
            f"seed {seed} prompt {prompt}: TV {distance:.4f} KL {kl:.4f} KL* {best_kl:.4f} gap {objective - reached:.4f}"
        )
        assert best_kl <= 1
        assert distance < 0.03
        assert abs(kl - best_kl) < 0.02
        assert 0 <= objective - reached < 0.01
