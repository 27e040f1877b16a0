"""Our side of bench/ppo.py and bench/update.py: PPO or GRPO, one update at a word. Speaks as bench/ppo_trl.py does.

The word is the way to its responses, `generate` or `vllm`; both are of one training and one policy.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.plumbing.progress import Quiet
from evalkit.records import Prompt
from evalkit.training import policy_gradient
from evalkit.training.config import Generation, GrpoConfig, PpoConfig, RewardSource
from evalkit.training.ladder import critic_of, open_accelerator
from evalkit.training.models import Policy, load_policy
from evalkit.training.scoring import PromptSet, Scale, open_scorer
from evalkit.training.vllm_rollout import open_sampler

PARTS = {"rollout": "rollout", "forward": "scoring", "take_steps": "optimisation"}
"""Our functions -> parts of an update. TRL scores rewards after sampling; here that belongs to `rollout`."""


def main() -> None:
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(setting["threads"])
    parts: dict[str, float] = {}
    for name, part in PARTS.items():
        setattr(policy_gradient, name, timed(getattr(policy_gradient, name), part, parts))
    config = read_config(setting)
    policy = load_policy("policy", config.policy)
    prompts = PromptSet(config.prompts, [tuple(row) for row in setting["prompts"]])
    state, steps = open_trainer(config, policy, prompts)
    with open_sampler(config, state.policy, prompts.ids, state.accelerator, Quiet()) as sampler:
        ways = {"generate": state.policy, "vllm": replace(state.policy, sampler=sampler)}
        word = say_and_wait({})
        while word:
            parts.clear()
            state.policy = ways[word]
            started, worked = time.perf_counter(), time.process_time()
            next(steps)
            word = say_and_wait(
                {"seconds": time.perf_counter() - started, "cpu": time.process_time() - worked, **parts}
            )


def timed(function: Callable[..., Any], part: str, parts: dict[str, float]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        parts[part] = parts.get(part, 0.0) + time.perf_counter() - started
        return result

    return run


def say_and_wait(what: dict[str, float]) -> str:
    """The next word; none when there is no more to do."""
    print(json.dumps(what), flush=True)
    return sys.stdin.readline().strip()


def read_config(setting: dict[str, Any]) -> PpoConfig | GrpoConfig:
    """Our names of the setting."""
    shared: dict[str, Any] = {
        "name": "bench",
        "seed": setting["seed"],
        "dtype": setting["dtype"],
        "prompts": tuple(Prompt(f"p{i}", "any") for i in range(len(setting["prompts"]))),
        "policy": CheckpointSpec(path=setting["policy"], kind="base", frame=Frame(template="{prompt}", stop=())),
        "beta": (setting["beta"],),
        "normalise": False,
        "missing_eos": None,
        "sampling": Generation(max_tokens=setting["response"]),
        "rollout": "vllm" if "vllm" in setting["rollouts"] else "generate",
        "updates": setting["updates"],
        "batch": setting["batch"],
        "epochs": setting["epochs"],
        "minibatches": setting["minibatches"],
        "microbatch": setting["microbatch"],
        "learning_rate": setting["learning_rate"],
        "clip": setting["clip"],
    }
    if setting["method"] == "grpo":
        return GrpoConfig(**shared, reward=RewardSource(utility={"words": 1}), samples=setting["samples"])
    return PpoConfig(
        **shared,
        reward=RewardSource(model=setting["reward"]),
        value_clip=setting["clip"],
        value_weight=setting["value_weight"],
        gae_lambda=setting["gae_lambda"],
    )


def open_trainer(
    config: PpoConfig | GrpoConfig, policy: Policy, prompts: PromptSet
) -> tuple[policy_gradient.TrainState, Iterator[Any]]:
    reward = open_scorer(config.reward, policy, prompts, config.microbatch)
    critic = critic_of(config, policy, Scale()) if isinstance(config, PpoConfig) else None
    reference = copy.deepcopy(policy.model)
    state = policy_gradient.prepare(config, policy, critic, reference, config.beta[0], open_accelerator(config))
    return state, policy_gradient.updates(config, state, prompts, policy_gradient.RewardSources(reward, Scale()))


if __name__ == "__main__":
    main()
