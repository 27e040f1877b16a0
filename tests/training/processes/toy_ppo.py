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
from evalkit.training import policy_gradient
from evalkit.training.config import PpoConfig
from evalkit.training.distributed import gathered, process_part
from evalkit.training.experience import Episodes
from evalkit.training.models import fresh_value_network, load_policy
from evalkit.training.scoring import PromptSet, Scale
from tests.training import toy

PROMPTS = (Prompt("p0", "</s> a"), Prompt("p1", "</s> b c d"))
REWARDS = torch.randn(len(PROMPTS), len(toy.responses()), generator=torch.Generator().manual_seed(100))
"""[prompts, 85] in the order of `toy.responses`."""


@dataclass(frozen=True)
class Setting:
    config: PpoConfig
    state: policy_gradient.TrainState
    prompts: PromptSet
    sources: policy_gradient.RewardSources


def setting(checkpoint: Path, accelerator: Accelerator, **changes: object) -> Setting:
    """What `policy_gradient.updates` asks for; weights come from the folder `checkpoint`."""
    spec = CheckpointSpec(path=str(checkpoint), kind="base", frame=Frame(template="{prompt}"))
    given = {
        "name": "toy", "policy": spec, "reward": {"utility": {"words": 1}}, "beta": 1.0, "prompts": PROMPTS,
        "sampling": {"max_tokens": toy.LONGEST}, "missing_eos": None, "updates": 100, "batch": 512, "epochs": 2,
        "minibatches": 4, "microbatch": 128, "learning_rate": 3e-3, "gae_lambda": 1.0, "normalise": False,
    }  # fmt: skip
    config = PpoConfig.model_validate(given | changes)
    policy_gradient.seed_torch(config.seed, "adapters")
    policy = load_policy("policy", spec, config.lora)
    prompt_set = PromptSet(PROMPTS, policy.prompt_ids(PROMPTS, toy.LONGEST))
    critic = fresh_value_network(spec, config.seed)
    reference = None if policy.has_adapters else copy.deepcopy(policy.model)
    state = policy_gradient.prepare(config, policy, critic, reference, 1.0, accelerator)
    return Setting(config, state, prompt_set, policy_gradient.RewardSources(_reward, Scale()))


def episodes(its: Setting, shift: int = 0) -> Episodes:
    """This process's share of a batch that is the same however many processes there are."""
    every = toy.responses()
    answers = [(i % len(PROMPTS), every[(7 * i + shift) % len(every)]) for i in range(its.config.batch)]
    prompt_index, responses = zip(*process_part(answers, its.state.accelerator), strict=True)
    rewards = _reward(prompt_index, responses)
    ended = torch.tensor([response[-1] == toy.EOS for response in responses])
    batch = policy_gradient.pack([its.prompts.ids[i] for i in prompt_index], responses).to(its.state.device)
    return Episodes(list(prompt_index), list(responses), batch, rewards, rewards.to(its.state.device), None, ended)


def save_weights(path: Path, state: policy_gradient.TrainState) -> None:
    """Write what is trained; every process takes part, the first one writes."""
    critic = state.accelerator.unwrap_model(state.critic)
    parts = {"policy": state.policy.model, "critic": critic}
    named = {f"{part}/{name}": weight for part, model in parts.items() for name, weight in model.named_parameters()}
    whole = gathered(named, state.accelerator)
    if state.accelerator.is_main_process:
        save_file({name: weight.contiguous().clone() for name, weight in whole.items()}, path)


def _reward(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
    place = {tuple(response): i for i, response in enumerate(toy.responses())}
    return torch.stack(
        [REWARDS[i, place[tuple(response)]] for i, response in zip(prompt_index, responses, strict=True)]
    )
