"""A whole training on the toy language by the command line, and how far from the optimum it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from evalkit.records import Prompt
from evalkit.suite import CheckpointSpec, Frame
from evalkit.training.models import load_policy
from evalkit.training.utility import open_utility
from tests.training import toy

PROMPTS = (Prompt("short", "</s> a"), Prompt("long", "</s> b c d"))
UTILITY = {"pattern:a": 1.0}
BETA = 0.5


@dataclass(frozen=True)
class Ending:
    """Where a training ended for one prompt."""

    distance: float
    """Total variation from the optimum."""
    to_go: float
    """The same before training."""
    kl: float
    best_kl: float
    gap: float
    """What its objective lacks of the optimum's."""


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


def endings(source: Path, made: Path) -> Iterator[Ending]:
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
        reference, law = toy.log_law(before, ids), toy.log_law(after, ids)
        best, objective = toy.optimum(reference, rewards, BETA)
        reached = float((law.exp() * (rewards - BETA * (law - reference))).sum())
        distance, to_go = (float((one.exp() - best.exp()).abs().sum() / 2) for one in (law, reference))
        kl, best_kl = (float((one.exp() * (one - reference)).sum()) for one in (law, best))
        print(
            f"{prompt.id}: TV {distance:.4f} from {to_go:.4f}, KL {kl:.4f} KL* {best_kl:.4f} gap {objective - reached:.4f}"
        )
        assert to_go > 0.2, "the training would have nothing to do"
        yield Ending(distance, to_go, kl, best_kl, objective - reached)
