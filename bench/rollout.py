"""Rollouts by vLLM against rollouts by transformers' `generate`: seconds of a batch of responses of one policy.

    python -m bench.rollout POLICY [--dtype float32|bfloat16] [--batch N] [--prompt N] [--response N] [--rounds N]

Both are the trainer's own way to its episodes (`evalkit.training.rollout.sample`), from the same weights and prompts of
random tokens, with the same number of threads; no response ends before its time. They take turns, batch by batch, in
an order that changes, so that a machine's other work hits both; the first turn of each warms up and does not count.
What vLLM takes includes the weights' way over to it, which is also told alone.

`--dtype` is what a training's `dtype` would be: vLLM holds the weights so; `generate` draws in float32 either way.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.plumbing.progress import Quiet
from evalkit.records import Prompt
from evalkit.training.config import Generation, PpoConfig, RewardSource
from evalkit.training.models import Policy, load_policy
from evalkit.training.rollout import sample
from evalkit.training.vllm_rollout import VllmSampler, open_sampler

TARGET = 2.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", help="a folder or hub id of a causal language model")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch", type=int, default=16, help="episodes")
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--response", type=int, default=256, help="tokens")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    policy = endless(load_policy("policy", CheckpointSpec(path=asked.policy, kind="base", frame=Frame())))
    prompts = torch.randint(policy.model.config.vocab_size - 1, (asked.batch, asked.prompt)).tolist()
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if asked.dtype == "bfloat16" else "no")
    started = time.perf_counter()
    with open_sampler(config_of(asked, policy), policy, prompts, accelerator, Quiet()) as sampler:
        assert isinstance(sampler, VllmSampler)
        print(
            f"{policy.model.num_parameters():,} parameters; vLLM was there after {time.perf_counter() - started:.0f} s"
        )
        ways = {"generate": policy, "vllm": replace(policy, sampler=sampler)}
        report(asked, take_turns(ways, prompts, asked), handovers(sampler, policy))


def endless(policy: Policy) -> Policy:
    """The policy with a single stop, which is so rare that no response ends."""
    rare = policy.model.config.vocab_size - 1
    with torch.no_grad():
        policy.model.get_output_embeddings().weight[rare] = 0.0
    policy.model.generation_config.eos_token_id = rare
    return replace(policy, stops=frozenset({rare}))


def config_of(asked: argparse.Namespace, policy: Policy) -> PpoConfig:
    return PpoConfig(
        name="bench",
        policy=policy.spec,
        prompts=(Prompt("any", "any"),),
        reward=RewardSource(utility={"words": 1}),
        beta=(1.0,),
        sampling=Generation(max_tokens=asked.response),
        batch=asked.batch,
        minibatches=1,
        rollout="vllm",
    )


def take_turns(
    ways: dict[str, Policy], prompts: Sequence[Sequence[int]], asked: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of each way's batches, without the first one."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for turn in range(asked.rounds + 1):
        for name in order:
            torch.manual_seed(turn)
            started = time.perf_counter()
            drawn = sample(ways[name], prompts, asked.response)
            seconds[name].append(time.perf_counter() - started)
            assert sum(map(len, drawn)) >= 0.99 * asked.batch * asked.response, "responses ended before their time"
        order.reverse()
        print("  ".join(f"{name} {seconds[name][-1]:.1f} s" for name in ways), flush=True)
    return {name: taken[1:] for name, taken in seconds.items()}


def handovers(sampler: Any, policy: Policy) -> float:
    """Seconds of a handover: what scoring two tokens takes, of which the weights' way is nearly all."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        sampler.log_probs(policy, [0, 1])
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def report(asked: argparse.Namespace, seconds: dict[str, list[float]], handover: float) -> None:
    tokens = asked.batch * asked.response
    print(f"\n{asked.batch} x ({asked.prompt} + {asked.response}) tokens, {asked.dtype}, {asked.threads} threads")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:<10} {median:7.2f} s a batch (median of {len(taken)})  {tokens / median:7.0f} tokens/s")
    print(f"handover   {handover:7.2f} s of it")
    ratio = statistics.median(a / b for a, b in zip(seconds["generate"], seconds["vllm"], strict=True))
    print(f"generate / vllm: {ratio:.2f} (median of the rounds); bound {TARGET}")


if __name__ == "__main__":
    main()
