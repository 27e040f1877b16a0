"""PPO with forward passes in bfloat16: on a GPU where there is one, and on the processor where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from evalkit.records import Prompt
from evalkit.suite import CheckpointSpec, Frame
from evalkit.training.models import load_policy
from evalkit.training.utility import open_utility
from evalkit.training_log import read_curves
from tests.training import toy

PROMPTS = (Prompt("short", "</s> a"), Prompt("long", "</s> b c d"))
UTILITY = {"pattern:a": 1.0}
BETA = 0.5


def train(folder: Path, dtype: str) -> Path:
    """A whole training by the command, in a process of its own: accelerate has one precision a process."""
    source = toy.checkpoint(folder / "toy")
    config = {
        "name": "toy",
        "policy": {"path": source, "kind": "base", "frame": {"template": "{prompt}"}},
        "reward": {"utility": UTILITY},
        "beta": BETA,
        "dtype": dtype,
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
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "evalkit", "train", "ppo", str(path), "--out", str(folder / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "out" / "beta-0.5"


@pytest.mark.slow
def test_it_nearly_reaches_the_optimum_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    made = train(tmp_path, "bfloat16")
    frame = Frame(template="{prompt}")
    before, after = (
        load_policy(name, CheckpointSpec(path=str(folder), kind="base", frame=frame))
        for name, folder in (("before", tmp_path / "toy"), ("after", made))
    )
    utility = open_utility(UTILITY)
    for prompt in PROMPTS:
        [ids] = before.prompt_ids([prompt], toy.LONGEST)
        rewards = torch.tensor([utility(prompt, text) for text in before.texts(toy.responses())]).double()
        reference, law = toy.log_law(before, ids), toy.log_law(after, ids)
        best, _ = toy.optimum(reference, rewards, BETA)
        distance, to_go = (float((one.exp() - best.exp()).abs().sum() / 2) for one in (law, reference))
        print(f"{prompt.id}: TV to the optimum {distance:.4f}, from where it began {to_go:.4f}")
        assert to_go > 0.2, "the training would have nothing to do"
        assert distance < 0.05
    rows = read_curves(made)
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-3), "policy and reference round alike"
    assert {tensor.dtype for tensor in load_file(made / "model.safetensors").values()} == {torch.float32}
    assert json.loads((made / "training.json").read_text(encoding="utf-8"))["reached"]["kl"] > 0.1
