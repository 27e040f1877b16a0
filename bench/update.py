"""Whole updates of a real checkpoint: ours with `generate` and with vLLM, and TRL's, as ratios of one run.

    python -m bench.update POLICY [--method ppo|grpo] [--dtype float32|bfloat16] [--batch N] [--rounds N]

Prompts of 64 random tokens, responses of 256 of which none ends before; one pass over each batch. The same threads,
weights in float32 and passes in `--dtype` for both sides.

PPO against TRL 1.9.2's PPOTrainer (the last release that has one): a step every 4 sequences; the reward model, the
value network and the reference are as large as the policy. GRPO against TRL's GRPOTrainer: groups of 4, one step a
batch, in microbatches of 4, the KL as a loss; what rewards costs nothing. TRL draws with `generate`, for its vLLM needs
a GPU; `--peer` names another release of it for GRPO.

Our two ways belong to one training in one process, and all take turns, update by update, in an order that changes, so
that a machine's other work hits all of them. With 135 M parameters PPO takes some 16 GiB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from bench.peers import interpreter
from bench.turns import Updates, started, take_turns

PEER = "trl==1.9.2"
SEQUENCES = 4
"""In a pass of either side, and in a group."""
BOUNDS = {"ppo": {"generate": 2.5, "TRL": 3.0}, "grpo": {"TRL": 1.5}}
MODULES = {"ppo": "trl.experimental.ppo", "grpo": "trl.trainer.grpo_trainer"}
PARTS = {"rollout": "rollout", "scoring": "scoring", "optimisation": "optimisation", "seconds": "whole update"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path, help="a folder with a causal language model")
    parser.add_argument("--method", choices=("ppo", "grpo"), default="ppo")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of both sides' passes")
    parser.add_argument("--batch", type=int, default=16, help="episodes, a multiple of 4")
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--response", type=int, default=256, help="tokens")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--peer", default=PEER, help="a release of TRL")
    asked = parser.parse_args()
    # TRL imports requests for GRPO and does not ask for it.
    ours = ("torch", "transformers", "accelerate", "datasets", "requests")
    peer = interpreter(asked.peer, MODULES[asked.method], ours)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        setting = str(write_setting(folder, asked))
        mine = [sys.executable, "-m", "bench.ppo_evalkit", setting]
        trl = [str(peer), "-m", f"bench.{asked.method}_trl", setting]
        with started(mine, folder / "0.log") as own, started(trl, folder / "1.log") as other:
            ways = {"vllm": (own, "vllm"), "generate": (own, "generate"), "TRL": (other, "go")}
            report(asked, take_turns(ways, asked.rounds))


def write_setting(folder: Path, asked: argparse.Namespace) -> Path:
    """Models, prompts, and one file of settings that both sides read."""
    torch.manual_seed(0)
    vocabulary = write_models(asked, folder)
    one_step = asked.method == "grpo"
    setting: dict[str, Any] = {
        "method": asked.method,
        "policy": str(folder / "policy"),
        "reward": str(folder / "reward"),
        "scratch": str(folder / "trl"),
        "prompts": torch.randint(vocabulary - 1, (64, asked.prompt)).tolist(),
        "rollouts": ["generate", "vllm"],
        "dtype": asked.dtype,
        "threads": asked.threads,
        "updates": 2 * (asked.rounds + 1),
        "seed": 0,
        "batch": asked.batch,
        "minibatches": 1 if one_step else asked.batch // SEQUENCES,
        "microbatch": SEQUENCES,
        "samples": SEQUENCES if one_step else 1,
        "epochs": 1,
        "response": asked.response,
        "beta": 0.05,
        "gae_lambda": 0.95,
        "clip": 0.2,
        "value_weight": 0.1,
        "learning_rate": 1e-6,
    }
    path = folder / "setting.json"
    path.write_text(json.dumps(setting), encoding="utf-8")
    return path


def write_models(asked: argparse.Namespace, folder: Path) -> int:
    """The policy with an end so rare that no response comes to it, and for PPO a reward model of its body.

    Returns the size of the vocabulary; the end is the last token, which is also the padding.
    """
    policy = AutoModelForCausalLM.from_pretrained(asked.policy, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(asked.policy)
    vocabulary = int(policy.config.vocab_size)
    end = vocabulary - 1
    with torch.no_grad():
        policy.get_output_embeddings().weight[end] = 0.0
    tokenizer.eos_token = tokenizer.pad_token = tokenizer.convert_ids_to_tokens(end)
    for config in (policy.config, policy.generation_config):
        config.eos_token_id = config.pad_token_id = end
    policy.save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")
    if asked.method == "ppo":
        reward = AutoModelForSequenceClassification.from_pretrained(
            folder / "policy", num_labels=1, dtype=torch.float32
        )
        reward.save_pretrained(folder / "reward")
        tokenizer.save_pretrained(folder / "reward")
    return vocabulary


def report(asked: argparse.Namespace, told: dict[str, Updates]) -> None:
    shape = f"{asked.batch} x ({asked.prompt} + {asked.response}) tokens"
    print(f"\n{asked.method}, {shape}, passes in {asked.dtype}, {asked.threads} threads; {asked.peer}")
    print(f"median seconds of {asked.rounds:2} updates {''.join(f'{name:>10}' for name in told)}")
    for part, name in PARTS.items():
        medians = [statistics.median(update[part] for update in updates) for updates in told.values()]
        print(f"{name:<27} {''.join(f'{median:10.2f}' for median in medians)}")
    for name, bound in BOUNDS[asked.method].items():
        pairs = zip(told[name], told["vllm"], strict=True)
        ratio = statistics.median(slow["seconds"] / fast["seconds"] for slow, fast in pairs)
        print(f"{name} / vllm: {ratio:.2f} (median of the rounds); bound {bound}")


if __name__ == "__main__":
    main()
