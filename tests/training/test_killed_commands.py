"""Every training by the command line, killed by the system or out of disk: the same command goes on to the same end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

from evalkit.checkpoints.training_log import read_curves
from evalkit.cli.main import main
from evalkit.preferences.files import write_preferences
from tests.killed_at import killed_at
from tests.training import toy
from tests.training.full_disk import room_for
from tests.training.test_reward_model import likes, prefer
from tests.training.whole_training import PROMPTS, UTILITY, without_seconds

pytestmark = pytest.mark.slow
ON_POLICY = {
    "reward": {"utility": UTILITY}, "beta": 1.0, "updates": 20, "batch": 32, "minibatches": 2, "save_every": 2,
    "sampling": {"max_tokens": toy.LONGEST}, "learning_rate": 1e-3, "probe": {"prompts": 2, "samples": 4, "every": 20},
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "ppo": ON_POLICY,
    "rloo": ON_POLICY | {"samples": 4},
    "grpo": ON_POLICY | {"samples": 4},
    "dpo": {"preferences": ["prefs.jsonl"], "beta": 0.5, "epochs": 20, "learning_rate": 1e-3},
    "best-of-n": {
        "reward": {"utility": UTILITY}, "n": 4, "samples": 32, "batch": 8, "epochs": 30, "learning_rate": 1e-3,
        "sampling": {"max_tokens": toy.LONGEST},
    },
}  # fmt: skip


def config_of(folder: Path, method: str) -> Path:
    settings = {
        "name": "toy",
        "policy": {"path": toy.checkpoint(folder / "toy"), "kind": "base", "frame": {"template": "{prompt}"}},
        **METHODS[method],
    }
    if method == "dpo":
        write_preferences(folder / "prefs.jsonl", prefer(likes("a"), None, 200))
    else:
        settings["prompts"] = [{"id": prompt.id, "text": prompt.text} for prompt in PROMPTS]
    path = folder / f"{method}.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def command(method: str, config: Path, out: Path) -> list[str]:
    return ["train", method, str(config), "--out", str(out), "--quiet"]


def in_full(method: str, config: Path, out: Path) -> Path:
    """The one checkpoint of a ladder of one, trained until it is there."""
    told = CliRunner().invoke(main, command(method, config, out))
    assert told.exit_code == 0, told.output
    (folder,) = (each for each in out.iterdir() if (each / "model.safetensors").exists())
    return folder


def states(out: Path) -> list[Path]:
    return list(out.glob("*.work/state.safetensors"))


def killed_at_its_first_state(method: str, config: Path, out: Path) -> None:
    alike = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums are in another order else
    killed_at("state", command(method, config, out), alike)
    assert states(out)


@pytest.mark.parametrize("method", METHODS)
def test_a_command_that_is_killed_goes_on_to_what_it_would_have_come_to(tmp_path: Path, method: str) -> None:
    config, out = config_of(tmp_path, method), tmp_path / "killed"
    killed_at_its_first_state(method, config, out)
    assert not list(out.glob("*/model.safetensors"))
    killed, whole = in_full(method, config, out), in_full(method, config, tmp_path / "whole")
    assert without_seconds(read_curves(killed)) == without_seconds(read_curves(whole))
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not states(out)


@pytest.mark.filterwarnings("default:embedding cache")
@pytest.mark.parametrize("method", METHODS)
def test_a_disk_without_room_for_the_state_is_one_line(tmp_path: Path, method: str) -> None:
    config, out = config_of(tmp_path, method), tmp_path / "out"
    with room_for(20_000):
        told = CliRunner().invoke(main, command(method, config, out))
    assert told.exit_code == 5
    assert "Traceback" not in told.stderr
    assert re.search(r"^evalkit: .*state\.safetensors could not be written: .*make room", told.stderr, re.MULTILINE)
    assert all(line.startswith("evalkit: ") for line in told.stderr.splitlines())
    assert not list(out.glob("*/model.safetensors"))
