"""The peer of bench/update.py for GRPO: TRL's GRPOTrainer, one update at a word. Speaks as bench/ppo_trl.py does.

Run by the peer's own interpreter: `python -m bench.grpo_trl SETTING.json`. An update is a batch of completions, drawn
by transformers' `generate`, and the one step that is taken on it, in microbatches.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import GRPOConfig, GRPOTrainer

from bench.ppo_trl import Clock, OnAWord


class OnTokens(GRPOTrainer):  # type: ignore[misc]
    """Takes prompts as token ids, written as text, and marks when an update's parts end."""

    clock: Clock

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [json.loads(prompt) for prompt in prompts], None, {}

    def _generate(self, prompts: list[str]) -> Any:
        made = super()._generate(prompts)
        self.clock.mark("sampled")
        return made

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        self.clock.mark("scored")
        return super().compute_loss(*arguments, **named)


def main() -> None:
    channel, sys.stdout = sys.stdout, sys.stderr  # what TRL prints is not for the channel
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(setting["threads"])
    set_seed(setting["seed"])
    clock = Clock()
    trainer = OnTokens(
        model=AutoModelForCausalLM.from_pretrained(setting["policy"], dtype=torch.float32),
        reward_funcs=different_tokens,
        args=GRPOConfig(**arguments(setting)),
        processing_class=AutoTokenizer.from_pretrained(setting["policy"], padding_side="left"),
        train_dataset=Dataset.from_dict({"prompt": [json.dumps(row) for row in setting["prompts"]]}),
        callbacks=[OnAWord(clock, channel)],
    )
    trainer.clock = clock
    trainer.train()


def different_tokens(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward that costs nothing."""
    return [float(len(set(completion))) for completion in completion_ids]


def arguments(setting: dict[str, Any]) -> dict[str, Any]:
    """TRL's names of the setting."""
    parts = setting["batch"] // setting["microbatch"]
    return {
        "output_dir": setting["scratch"],
        "max_steps": setting["updates"] + 1,
        "per_device_train_batch_size": setting["microbatch"],
        "gradient_accumulation_steps": parts,
        "steps_per_generation": parts,
        "num_iterations": setting["epochs"],
        "num_generations": setting["samples"],
        "max_completion_length": setting["response"],
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "beta": setting["beta"],
        "epsilon": setting["clip"],
        "learning_rate": setting["learning_rate"],
        "adam_epsilon": 1e-5,
        "max_grad_norm": 1.0,
        "bf16": setting["dtype"] == "bfloat16",
        "gradient_checkpointing": False,
        "use_cpu": True,
        "seed": setting["seed"],
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


if __name__ == "__main__":
    main()
