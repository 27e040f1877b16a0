"""A training on the toy language: policy, state, prompts and rewards of every response."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.records import Prompt
from evalkit.training import policy_gradient
from evalkit.training.config import PolicyGradientConfig, PpoConfig
from evalkit.training.ladder import critic_of
from evalkit.training.models import Policy, load_policy
from evalkit.training.scoring import PromptSet, Scale
from tests.training import toy

PROMPTS = ("</s> a", "</s> b c d")
"""Of different lengths, so that they are padded. They begin with an end token, as a document does: with positions that
are relative, attention over equal tokens cannot tell `a` from `a a`, nor a policy what to say after each."""


ALONE = Accelerator(cpu=True)
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2))]
"""Of trainings that are held to an exact optimum."""


Config = TypeVar("Config", bound=PolicyGradientConfig)


@dataclass
class Setting(Generic[Config]):
    config: Config
    policy: Policy
    state: policy_gradient.TrainState
    prompts: PromptSet
    sources: policy_gradient.RewardSources
    rewards: Tensor
    """[prompts, 85] in the order of `toy.responses`."""


def ppo_setting(
    folder: Path, seed: int, kind: str = "llama", texts: Sequence[str] = PROMPTS, **changes: object
) -> Setting[PpoConfig]:
    return setting(PpoConfig, folder, seed, kind, texts, **{"gae_lambda": 1.0} | changes)


def setting(method: type[Config], folder: Path, seed: int, kind: str = "llama", texts: Sequence[str] = PROMPTS,
            **changes: object) -> Setting[Config]:  # fmt: skip
    spec = CheckpointSpec(path=toy.checkpoint(folder, kind), kind="base", frame=Frame(template="{prompt}"))
    prompts = tuple(Prompt(f"p{i}", text) for i, text in enumerate(texts))
    given = {
        "name": "toy", "seed": seed, "policy": spec, "reward": {"utility": {"words": 1}}, "beta": 1.0, "prompts": prompts,
        "sampling": {"max_tokens": toy.LONGEST}, "missing_eos": None, "updates": 100, "batch": 512, "epochs": 2,
        "minibatches": 4, "microbatch": 128, "learning_rate": 1.5e-3, "normalise": False,
    }  # fmt: skip
    config = method.model_validate(given | changes)
    policy = load_policy("policy", spec)
    prompt_set = PromptSet(prompts, policy.prompt_ids(prompts, toy.LONGEST))
    rewards = torch.randn(len(prompts), len(toy.responses()), generator=torch.Generator().manual_seed(100 + seed))
    place = {tuple(response): i for i, response in enumerate(toy.responses())}

    def reward(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        return torch.stack(
            [rewards[i, place[tuple(response)]] for i, response in zip(prompt_index, responses, strict=True)]
        )

    critic = critic_of(config, policy, Scale()) if isinstance(config, PpoConfig) else None
    reference = copy.deepcopy(policy.model)
    state = policy_gradient.prepare(config, policy, critic, reference, config.beta[0], ALONE)
    return Setting(config, policy, state, prompt_set, policy_gradient.RewardSources(reward, Scale()), rewards)
