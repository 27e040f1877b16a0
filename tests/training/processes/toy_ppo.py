"""PPO on the toy language, the same in every process and however many there are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.records import Prompt
from evalkit.training import ppo
from evalkit.training.config import PpoConfig
from evalkit.training.distributed import gathered
from evalkit.training.models import fresh_value_network, load_policy
from evalkit.training.scoring import Asked, Scale
from tests.training import toy

PROMPTS = (Prompt("p0", "</s> a"), Prompt("p1", "</s> b c d"))
REWARDS = torch.randn(len(PROMPTS), len(toy.responses()), generator=torch.Generator().manual_seed(100))
"""[prompts, 85] in the order of `toy.responses`."""


@dataclass(frozen=True)
class Setting:
    config: PpoConfig
    learner: ppo.Learner
    asked: Asked
    judged: ppo.Judged


def setting(checkpoint: Path, accelerator: Accelerator, **changes: object) -> Setting:
    """What `ppo.updates` asks for; weights come from the folder `checkpoint`."""
    spec = CheckpointSpec(path=str(checkpoint), kind="base", frame=Frame(template="{prompt}"))
    given = {
        "name": "toy", "policy": spec, "reward": {"utility": {"words": 1}}, "beta": 1.0, "prompts": PROMPTS,
        "sampling": {"max_tokens": toy.LONGEST}, "missing_eos": None, "updates": 100, "batch": 512, "epochs": 2,
        "minibatches": 4, "microbatch": 128, "learning_rate": 3e-3, "gae_lambda": 1.0, "normalise": False,
    }  # fmt: skip
    config = PpoConfig.model_validate(given | changes)
    ppo.seed(config.seed, "adapters")
    policy = load_policy("policy", spec, config.lora)
    asked = Asked(PROMPTS, policy.prompt_ids(PROMPTS, toy.LONGEST))
    critic = fresh_value_network(spec, config.seed)
    reference = None if policy.has_adapters else copy.deepcopy(policy.model)
    learner = ppo.prepare(config, policy, critic, reference, 1.0, accelerator)
    return Setting(config, learner, asked, ppo.Judged(_reward, Scale()))


def episodes(its: Setting, shift: int = 0) -> ppo.Episodes:
    """This process's share of a batch that is the same however many processes there are."""
    every = toy.responses()
    answers = [(i % len(PROMPTS), every[(7 * i + shift) % len(every)]) for i in range(its.config.batch)]
    which, responses = zip(*ppo.share_of(answers, its.learner.accelerator), strict=True)
    rewards = _reward(which, responses)
    ended = torch.tensor([response[-1] == toy.EOS for response in responses])
    batch = ppo.pack([its.asked.ids[i] for i in which], responses).to(its.learner.device)
    return ppo.Episodes(list(which), list(responses), batch, rewards, rewards.to(its.learner.device), None, ended)


def save_weights(path: Path, learner: ppo.Learner) -> None:
    """Write what is trained; every process takes part, the first one writes."""
    critic = learner.accelerator.unwrap_model(learner.critic)
    parts = {"policy": learner.policy.model, "critic": critic}
    named = {f"{part}/{name}": weight for part, model in parts.items() for name, weight in model.named_parameters()}
    whole = gathered(named, learner.accelerator)
    if learner.accelerator.is_main_process:
        save_file({name: weight.contiguous().clone() for name, weight in whole.items()}, path)


def _reward(which: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
    place = {tuple(response): i for i, response in enumerate(toy.responses())}
    return torch.stack([REWARDS[i, place[tuple(response)]] for i, response in zip(which, responses, strict=True)])
