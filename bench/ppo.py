"""Our PPO against TRL's, the last release that has one: seconds of an update on the same models and settings.

    python -m bench.ppo [--rounds N] [--dtype float32|bfloat16] [--peer-python PATH]

A Llama of 1 M parameters with random weights, 256 episodes a batch, prompts of 8 tokens, responses of 32, none of
which ends before; 4 passes of 4 minibatches; reward model, value network and reference of the same size; k1 in the
reward, gamma 1, lambda 0.95, whitened advantages, clips 0.2, value weight 0.1; the same threads for both. Each side is
a process of its own; they take turns, update by update, so that a machine's other work hits both.

TRL needs an environment of its own, as this package does not depend on it: `--peer-python` names its interpreter;
without, one is made with uv in the cache folder, with the versions of torch and transformers that run here.

What differs: TRL takes the old log-probs from the sampler and logs the entropy of every pass; we recompute them, and
the exact KL and entropy of every visited state besides, and clip gradients. Both step 16 times an update.
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

from bench.peers import interpreter
from bench.turns import Updates, started, take_turns

TARGET = 1.5
PEER = "trl==1.9.2"
HERE = Path(__file__).parent
VOCABULARY = 2048
PROMPT = 8
PARTS = ("seconds", "rollout", "scoring", "optimisation", "cpu")
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of both sides' passes")
    parser.add_argument("--peer-python", type=Path, help=f"an interpreter that can import {PEER}")
    asked = parser.parse_args()
    ours = ("torch", "transformers", "accelerate", "datasets")
    peer = asked.peer_python or interpreter(PEER, "trl.experimental.ppo", ours)
    with tempfile.TemporaryDirectory() as scratch:
        setting = write_setting(Path(scratch), asked)
        mine = [sys.executable, "-m", "bench.ppo_evalkit", str(setting)]
        trl = [str(peer), str(HERE / "ppo_trl.py"), str(setting)]
        with started(mine, Path(scratch) / "0.log") as first, started(trl, Path(scratch) / "1.log") as second:
            told = take_turns({"evalkit": (first, "generate"), "TRL": (second, "go")}, asked.rounds)
        report(told["evalkit"], told["TRL"])


def write_setting(folder: Path, asked: argparse.Namespace) -> Path:
    """Models, tokenizer and prompts, and one file of settings that both sides read."""
    torch.manual_seed(0)
    prompts = torch.randint(4, VOCABULARY, (1024, PROMPT))
    policy, reward = write_models(folder)
    setting = {
        "policy": policy,
        "reward": reward,
        "scratch": str(folder / "trl"),
        "prompts": prompts.tolist(),
        "method": "ppo",
        "rollouts": ["generate"],
        "dtype": asked.dtype,
        "threads": asked.threads,
        "updates": asked.rounds + 1,
        "seed": 0,
        "batch": 256,
        "minibatches": 4,
        "microbatch": 64,
        "samples": 1,
        "epochs": 4,
        "response": 32,
        "beta": 0.05,
        "gae_lambda": 0.95,
        "clip": 0.2,
        "value_weight": 0.1,
        "learning_rate": 1e-5,
    }
    path = folder / "setting.json"
    path.write_text(json.dumps(setting), encoding="utf-8")
    return path


def write_models(folder: Path) -> tuple[str, str]:
    """Policy and reward model with random weights and the same body; the policy never ends nor pads a sequence."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{token}" for token in range(4, VOCABULARY))]
    whole = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=whole, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    policy = LlamaForCausalLM(LlamaConfig(**SHAPE))
    forbid(policy, (0, 2))
    reward = LlamaForSequenceClassification(LlamaConfig(**SHAPE, num_labels=1))
    reward.model.load_state_dict(policy.model.state_dict())
    print(f"policy {count(policy):,} parameters, reward model and value network {count(reward):,}")
    for name, model in (("policy", policy), ("reward", reward)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return str(folder / "policy"), str(folder / "reward")


def forbid(policy: Any, tokens: tuple[int, ...]) -> None:
    """Make tokens improbable: one place of the residual stream is a constant, which their logits alone read."""
    with torch.no_grad():
        policy.model.embed_tokens.weight.normal_()[:, 0] = 1.0
        for layer in policy.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        policy.lm_head.weight.normal_(std=0.1)[:, 0] = 0.0
        policy.lm_head.weight[list(tokens)] = 0.0
        policy.lm_head.weight[list(tokens), 0] = -100.0


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def report(ours: Updates, trl: Updates) -> None:
    print(f"\nmedian seconds of {len(ours)} updates  evalkit    TRL  ratio")
    for part in PARTS:
        mine, theirs = (statistics.median(update[part] for update in side) for side in (ours, trl))
        name = {"seconds": "whole update", "cpu": "processor seconds of it"}.get(part, part)
        print(f"{name:<28} {mine:8.2f} {theirs:6.2f} {theirs / mine:6.2f}")
    pairs = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(ours, trl, strict=True))
    print(f"TRL / evalkit: {pairs:.2f} (median of the rounds); bound {TARGET}")


if __name__ == "__main__":
    main()
