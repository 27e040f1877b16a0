"""The peer of bench/ppo.py and bench/update.py: TRL's PPOTrainer on the same models and settings, one update at a word.

Run by the peer's own interpreter, which has `trl` and no evalkit: `python ppo_trl.py SETTING.json`. Talks in lines:
writes `{}` when ready; for each line on standard input does one update and writes its seconds, whole and by part.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
    set_seed,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer


class Clock:
    """Splits an update's time into rollout, scoring and optimisation, by when TRL calls what."""

    def __init__(self) -> None:
        self.marks: dict[str, float] = {}
        self.worked = 0.0

    def start(self) -> None:
        self.marks = {"started": time.perf_counter()}
        self.worked = time.process_time()

    def mark(self, name: str) -> None:
        self.marks.setdefault(name, time.perf_counter())

    def report(self) -> dict[str, float]:
        ended = time.perf_counter()
        started, sampled, scored = (self.marks[name] for name in ("started", "sampled", "scored"))
        return {
            "seconds": ended - started,
            "rollout": sampled - started,
            "scoring": scored - sampled,
            "optimisation": ended - scored,
            "cpu": time.process_time() - self.worked,
        }


class OnAWord(TrainerCallback):
    """Holds the training loop before each update, and reports the update that has just ended."""

    def __init__(self, clock: Clock, channel: Any) -> None:
        self.clock = clock
        self.channel = channel

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.say_and_wait({})

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.say_and_wait(self.clock.report())

    def say_and_wait(self, what: dict[str, float]) -> None:
        print(json.dumps(what), file=self.channel, flush=True)
        if not sys.stdin.readline():
            sys.exit(0)
        self.clock.start()


def main() -> None:
    channel, sys.stdout = sys.stdout, sys.stderr  # what TRL prints is not for the channel
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if setting["dtype"] == "bfloat16":  # its `bf16` alone no longer reaches the accelerator that it makes
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
    torch.set_num_threads(setting["threads"])
    set_seed(setting["seed"])
    tokenizer = AutoTokenizer.from_pretrained(setting["policy"], padding_side="left")
    clock = Clock()
    mark_parts(clock)
    trainer = PPOTrainer(
        args=PPOConfig(**arguments(setting)),
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(setting["policy"]),
        ref_model=AutoModelForCausalLM.from_pretrained(setting["policy"]),
        reward_model=AutoModelForSequenceClassification.from_pretrained(setting["reward"]),
        value_model=AutoModelForSequenceClassification.from_pretrained(setting["reward"]),
        train_dataset=Dataset.from_dict({"input_ids": setting["prompts"]}),
        callbacks=[OnAWord(clock, channel)],
    )
    trainer.train()


def arguments(setting: dict[str, Any]) -> dict[str, Any]:
    """TRL's names of the setting."""
    return {
        "output_dir": setting["scratch"],
        "total_episodes": setting["batch"] * (setting["updates"] + 1),
        # One microbatch a minibatch. With gradient accumulation TRL would step once a pass, whatever the minibatches.
        "per_device_train_batch_size": setting["batch"],
        "gradient_accumulation_steps": 1,
        "num_mini_batches": setting["minibatches"],
        "local_rollout_forward_batch_size": setting["batch"],
        "num_ppo_epochs": setting["epochs"],
        "response_length": setting["response"],
        "temperature": 1.0,
        "stop_token_id": None,
        "kl_coef": setting["beta"],
        "kl_estimator": "k1",
        "gamma": 1.0,
        "lam": setting["gae_lambda"],
        "cliprange": setting["clip"],
        "cliprange_value": setting["clip"],
        "vf_coef": setting["value_weight"],
        "learning_rate": setting["learning_rate"],
        "adam_epsilon": 1e-5,
        "bf16": setting["dtype"] == "bfloat16",
        "gradient_checkpointing": False,
        "use_cpu": True,
        "seed": setting["seed"],
        "num_sample_generations": 0,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def mark_parts(clock: Clock) -> None:
    """Mark the end of sampling, and the first pass of the policy and value models together, which is optimisation."""
    sample, forward = ppo_trainer.batch_generation, ppo_trainer.forward

    def timed_sample(*arguments: Any) -> Any:
        result = sample(*arguments)
        clock.mark("sampled")
        return result

    def timed_forward(model: torch.nn.Module, *arguments: Any) -> Any:
        if isinstance(model, ppo_trainer.PolicyAndValueWrapper):
            clock.mark("scored")
        return forward(model, *arguments)

    ppo_trainer.batch_generation, ppo_trainer.forward = timed_sample, timed_forward


if __name__ == "__main__":
    main()
