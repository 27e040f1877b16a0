"""A whole training on the toy language by the command line, and how far from the optimum it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.records import Prompt
from evalkit.training.models import load_policy
from evalkit.training.raters.utility import open_utility
from tests.training import toy

PROMPTS = (Prompt("short", "</s> a"), Prompt("long", "</s> b c d"))
UTILITY = {"pattern:a": 1.0}
BETA = 0.5


def write_config(folder: Path, **changes: object) -> Path:
    config = {
        "name": "toy",
        "policy": {"path": toy.checkpoint(folder / "toy"), "kind": "base", "frame": {"template": "{prompt}"}},
        "reward": {"utility": UTILITY},
        "beta": BETA,
        "normalise": False,
        "missing_eos": None,
        "sampling": {"max_tokens": toy.LONGEST},
        "updates": 40,
        "batch": 512,
        "epochs": 2,
        "minibatches": 4,
        "microbatch": 128,
        "learning_rate": 1.5e-3,
        "gae_lambda": 1.0,
        "probe": {"prompts": 2, "samples": 4, "every": 40},
        "prompts": [{"id": prompt.id, "text": prompt.text} for prompt in PROMPTS],
    }
    path = folder / "ppo.yaml"
    path.write_text(yaml.safe_dump(config | changes), encoding="utf-8")
    return path


def train(config: Path, out: Path, launch: Sequence[str] = ("-m", "evalkit")) -> Path:
    """Train in a process of its own, as accelerate has one precision a process; the folder that it makes."""
    command = [sys.executable, *launch, "train", "ppo", str(config), "--out", str(out)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / f"beta-{BETA}"


def without_seconds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of curves that are the same whenever the training is."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def endings(source: Path, made: Path) -> Iterator[toy.Ending]:
    """How the checkpoint `made` does against the exact optimum, prompt by prompt."""
    frame = Frame(template="{prompt}")
    before, after = (
        load_policy(name, CheckpointSpec(path=str(folder), kind="base", frame=frame))
        for name, folder in (("before", source), ("after", made))
    )
    utility = open_utility(UTILITY)
    for prompt in PROMPTS:
        [ids] = before.prompt_ids([prompt], toy.LONGEST)
        rewards = torch.tensor([utility(prompt, text) for text in before.texts(toy.responses())]).double()
        reference, policy = toy.response_log_probs(before, ids), toy.response_log_probs(after, ids)
        begun, ended = (toy.ending(reference, log_probs, rewards, BETA) for log_probs in (reference, policy))
        print(f"{prompt.id}: from TV {begun.distance:.4f} to {ended}")
        assert begun.distance > 0.2, "the training would have nothing to do"
        yield ended
