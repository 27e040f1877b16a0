"""What a GPU does with a real checkpoint: its numbers against the CPU's, tokens a second, share of what memory allows.

    python -m bench.gpu CHECKPOINT [--reward MODEL] [--prompts N] [--samples N] [--max-tokens N] [--engine NAME]

Four parts, some minutes together: (1) log-probs of completions in bfloat16 on the device against float32 on the CPU;
(2) rewards, likewise; (3) tokens a second; (4) one ladder of PPO in bfloat16 against its exact optimum (the tests that
are marked `gpu`). A step of decoding reads all weights and the keys and values of every sequence, so that memory
allows no more tokens a second than sequences * bandwidth / (bytes of weights + bytes of keys and values); the bandwidth
is measured by copying. Without a GPU the same runs on the CPU, bfloat16 against float32, and part 4 is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.engine import ignore, make_prompts, tokens
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import context_length, locate, read_config
from evalkit.inference.engines.base import Pair, open_engine
from evalkit.metrics.quality.reward import RewardModel
from evalkit.records import Rendered, Sampling

LOGPROB_BOUND = 0.1
"""Mean distance of a token's log-prob, nats: bfloat16 keeps 8 bits of a logit of about 20. A CPU has 0.05."""
REWARD_BOUND = 0.05
"""Mean distance of a reward, in standard deviations of the rewards."""
COPIED = 1 << 30
"""Bytes by which the bandwidth is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a folder, a hub id, or lab:NAME")
    parser.add_argument("--reward", default="lab:reward", help="a reward model, likewise")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--engine", default="transformers", help="vllm where its CUDA build is there")
    parser.add_argument("--on-the-cpu", metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.on_the_cpu:
        reference(Path(asked.on_the_cpu))
        return
    print(f"device: {torch.cuda.get_device_name() if torch.cuda.is_available() else 'the CPU, there is no GPU'}")
    folder = str(locate(asked.checkpoint))
    prompts = make_prompts(folder, asked.prompts)
    sampling = Sampling(asked.samples, 1.0, 1.0, 0.0, asked.max_tokens, (), 0)
    with open_engine(asked.engine, loaded(folder, "bfloat16"), room(folder, prompts, asked.max_tokens)) as engine:
        engine.sample(prompts[:1], sampling, 0, ignore)
        began = time.perf_counter()
        drawn = engine.sample(prompts, sampling, 1, ignore)
        seconds = time.perf_counter() - began
        some = drawn[:: max(1, len(drawn) // 64)]
        by_id = {prompt.prompt_id: prompt for prompt in prompts}
        pairs = [(by_id[one.prompt_id].token_ids, one.token_ids) for one in some]
        logprobs = engine.logprobs(pairs)
    tell_speed(folder, tokens(drawn), seconds, len(prompts) * asked.samples, asked.max_tokens)
    compare(folder, str(locate(asked.reward)), [one.text for one in some], pairs, logprobs)
    if torch.cuda.is_available():
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-k", "bfloat16 and process", "tests/training"]
        sys.exit(subprocess.run(command, check=False).returncode)


def loaded(folder: str, dtype: str) -> Checkpoint:
    return Checkpoint("bench", "base", folder, folder, folder, None, "", dtype)


def room(folder: str, prompts: Sequence[Rendered], max_tokens: int) -> int:
    context = context_length(loaded(folder, "auto")) or 4096
    return min(context, max(len(prompt.token_ids) for prompt in prompts) + max_tokens)


def tell_speed(folder: str, drawn: int, seconds: float, sequences: int, max_tokens: int) -> None:
    weights = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
    limit = sequences * bandwidth() / (weights + sequences * cache_bytes(read_config(Path(folder))) * max_tokens / 2)
    print(
        f"{drawn / seconds:,.0f} tokens/s; memory allows {limit:,.0f} with {sequences:,} sequences at a time: ", end=""
    )
    print(f"{drawn / seconds / limit:.1%} of it")


def cache_bytes(config: dict[str, Any]) -> int:
    """Of the keys and values of one token, in bfloat16."""
    text = config.get("text_config") or config
    heads = text["num_attention_heads"]
    width = text.get("head_dim") or text["hidden_size"] // heads
    return 2 * 2 * int(text["num_hidden_layers"]) * int(text.get("num_key_value_heads") or heads) * int(width)


def bandwidth() -> float:
    """Bytes a second that memory reads and writes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source, target = (torch.zeros(COPIED, dtype=torch.uint8, device=device) for _ in range(2))
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * COPIED / (time.perf_counter() - began))
    return best


def compare(folder: str, reward: str, drawn: Sequence[str], pairs: Sequence[Pair], logprobs: Sequence[Any]) -> None:
    """Print how far this device's numbers are from the float32 ones that a process without a GPU makes."""
    texts = [("Write one line of a poem.", text) for text in drawn]
    rewards = np.array(RewardModel(reward, reward).score(texts))
    with tempfile.TemporaryDirectory() as place:
        question = {
            "checkpoint": folder,
            "reward": reward,
            "texts": texts,
            "pairs": pairs,
        }
        (Path(place) / "question.json").write_text(json.dumps(question), encoding="utf-8")
        command = [sys.executable, "-m", "bench.gpu", folder, "--on-the-cpu", place]
        subprocess.run(command, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
        answer = json.loads((Path(place) / "answer.json").read_text(encoding="utf-8"))
    apart = np.abs(np.concatenate(logprobs) - np.concatenate(answer["logprobs"]))
    print(
        f"log-probs, {apart.size:,} tokens: {apart.mean():.4f} nats from the CPU's in the mean "
        f"(bound {LOGPROB_BOUND}), {apart.max():.3f} at most"
    )
    from_cpu = np.array(answer["rewards"])
    readable = np.isfinite(rewards) & np.isfinite(from_cpu)
    if readable.sum() < 2:
        print(f"rewards: {reward} can read {readable.sum()} of the texts; name another model with --reward")
        return
    distance = np.abs(rewards - from_cpu)[readable] / from_cpu[readable].std()
    print(
        f"rewards of {readable.sum()} texts: {distance.mean():.5f} standard deviations from the CPU's in the mean ",
        end="",
    )
    print(f"(bound {REWARD_BOUND}), {distance.max():.4f} at most")


def reference(place: Path) -> None:
    """The same numbers in float32, by a process that sees no GPU."""
    question = json.loads((place / "question.json").read_text(encoding="utf-8"))
    folder = question["checkpoint"]
    pairs = [(tuple(prompt), tuple(completion)) for prompt, completion in question["pairs"]]
    longest = max(len(prompt) + len(completion) for prompt, completion in pairs)
    with open_engine("transformers", loaded(folder, "float32"), longest) as engine:
        logprobs = engine.logprobs(pairs)
    rewards = RewardModel(question["reward"], question["reward"]).score([tuple(text) for text in question["texts"]])
    answer = {"logprobs": [list(row) for row in logprobs], "rewards": rewards}
    (place / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
