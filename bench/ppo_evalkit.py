"""Our side of bench/ppo.py: evalkit's PPO, one update at a word. Speaks as bench/ppo_trl.py does."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.records import Prompt
from evalkit.training import policy_gradient
from evalkit.training.config import Generation, PpoConfig, RewardSource
from evalkit.training.ladder import critic_of, open_accelerator
from evalkit.training.models import load_policy
from evalkit.training.scoring import PromptSet, Scale, open_scorer

PARTS = {"rollout": "rollout", "forward": "scoring", "take_steps": "optimisation"}
"""Our functions -> parts of an update. TRL scores rewards after sampling; here that belongs to `rollout`."""


def main() -> None:
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(setting["threads"])
    parts: dict[str, float] = {}
    for name, part in PARTS.items():
        setattr(policy_gradient, name, timed(getattr(policy_gradient, name), part, parts))
    steps = open_trainer(read_config(setting))
    say_and_wait({})
    while True:
        parts.clear()
        started, worked = time.perf_counter(), time.process_time()
        next(steps)
        say_and_wait({"seconds": time.perf_counter() - started, "cpu": time.process_time() - worked, **parts})


def timed(function: Callable[..., Any], part: str, parts: dict[str, float]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        parts[part] = parts.get(part, 0.0) + time.perf_counter() - started
        return result

    return run


def say_and_wait(what: dict[str, float]) -> None:
    print(json.dumps(what), flush=True)
    if not sys.stdin.readline():
        sys.exit(0)


def read_config(setting: dict[str, Any]) -> PpoConfig:
    """Our names of the setting."""
    return PpoConfig(
        name="bench",
        seed=setting["seed"],
        dtype=setting["dtype"],
        prompts=tuple(Prompt(f"p{i}", text) for i, text in enumerate(setting["texts"])),
        policy=CheckpointSpec(path=setting["policy"], kind="base", frame=Frame(template="{prompt}", stop=())),
        reward=RewardSource(model=setting["reward"]),
        beta=(setting["beta"],),
        normalise=False,
        missing_eos=None,
        sampling=Generation(max_tokens=setting["response"]),
        updates=setting["updates"],
        batch=setting["batch"],
        epochs=setting["epochs"],
        minibatches=setting["minibatches"],
        microbatch=setting["batch"] // setting["minibatches"],
        learning_rate=setting["learning_rate"],
        clip=setting["clip"],
        value_clip=setting["clip"],
        value_weight=setting["value_weight"],
        gae_lambda=setting["gae_lambda"],
    )


def open_trainer(config: PpoConfig) -> Iterator[Any]:
    policy = load_policy("policy", config.policy)
    prompt_set = PromptSet(config.prompts, policy.prompt_ids(config.prompts, config.sampling.max_tokens))
    reward = open_scorer(config.reward, policy, prompt_set, config.microbatch)
    critic = critic_of(config, policy, Scale())
    reference = copy.deepcopy(policy.model)
    state = policy_gradient.prepare(config, policy, critic, reference, config.beta[0], open_accelerator(config))
    return policy_gradient.updates(config, state, prompt_set, policy_gradient.RewardSources(reward, Scale()))


if __name__ == "__main__":
    main()
