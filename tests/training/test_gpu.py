"""Trainings on a GPU, by the command line as anyone starts them: `pytest -m gpu` where there is one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from evalkit.checkpoints.training_log import read_curves
from tests.training.whole_training import endings, train, without_seconds, write_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU on this machine"),
]
SHARDED = ("-m", "accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2",
           "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "--num_processes", str(torch.cuda.device_count()),
           "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
           "-m", "evalkit")  # fmt: skip
LAUNCHES = {"one process": ("-m", "evalkit"), "shards": SHARDED}


@pytest.mark.parametrize("launch", LAUNCHES)
def test_in_float32_the_optimum_is_reached(tmp_path: Path, launch: str) -> None:
    made = train(write_config(tmp_path, dtype="float32", updates=100), tmp_path / "out", LAUNCHES[launch])
    for ending in endings(tmp_path / "toy", made):
        assert ending.distance < 0.03
        assert abs(ending.kl - ending.best_kl) < 0.02
        assert ending.gap < 0.01


@pytest.mark.parametrize("launch", LAUNCHES)
def test_of_itself_it_trains_in_bfloat16_and_nearly_reaches_the_optimum(tmp_path: Path, launch: str) -> None:
    made = train(write_config(tmp_path), tmp_path / "out", LAUNCHES[launch])
    for ending in endings(tmp_path / "toy", made):
        assert ending.distance < 0.05
    assert {tensor.dtype for tensor in load_file(made / "model.safetensors").values()} == {torch.float32}
    assert read_curves(made)[0]["kl"] == pytest.approx(0.0, abs=1e-3), "policy and reference round alike"


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("changes", [{}, {"lora": {"rank": 4}}], ids=["whole", "adapters"])
def test_a_training_that_was_killed_goes_on_to_the_same_curve(
    tmp_path: Path, launch: str, changes: dict[str, object]
) -> None:
    config = write_config(tmp_path, updates=12, save_every=2, batch=64, microbatch=16, **changes)
    whole = train(config, tmp_path / "whole", LAUNCHES[launch])
    kill_when_begun(LAUNCHES[launch], config, tmp_path / "broken")
    broken = train(config, tmp_path / "broken", LAUNCHES[launch])
    assert without_seconds(read_curves(broken)) == without_seconds(read_curves(whole))
    weights, others = (load_file(made / "model.safetensors") for made in (whole, broken))
    torch.testing.assert_close(others, weights, rtol=0, atol=0)


def kill_when_begun(launch: Sequence[str], config: Path, out: Path) -> None:
    command = [sys.executable, *launch, "train", "ppo", str(config), "--out", str(out)]
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as began:
        state = out / "beta-0.5.work" / "state.safetensors"
        while not state.exists() and began.poll() is None:
            time.sleep(0.01)
        signal_all(began.pid)
    assert not (out / "beta-0.5").exists(), "it was killed too late to show anything"


def signal_all(leader: int) -> None:
    """Kill a process and all that it started."""
    for process in (*psutil.Process(leader).children(recursive=True), psutil.Process(leader)):
        process.send_signal(signal.SIGKILL)


PAIRS = {
    "name": "pairs", "policy": {"path": "lab:base", "kind": "base"}, "pairs": 64, "sampling": {"max_tokens": 40},
    "prompts": [{"id": f"p{i}", "text": text} for i, text in enumerate((
        "Write the first line of a story set in a lighthouse.", "Write one line of a poem about rain.", "Name a colour.",
        "Write a line about the sea.", "Tell me a joke.", "Describe a forest in one sentence.",
    ))],
}  # fmt: skip
RATERS = {"name": "raters", "groups": {"terse": {"values": {"utility": {"words": -0.3}}, "noise": 0.3}}}


def evalkit(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def written(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_from_preferences_to_a_run_that_measures_what_they_did(tmp_path: Path) -> None:
    pairs, preferences, rewards = (tmp_path / name for name in ("pairs.jsonl", "preferences.jsonl", "rewards"))
    sampling = written(tmp_path / "pairs.yaml", PAIRS)
    evalkit("prefs", "sample", sampling, "--out", pairs, "--engine", "transformers")
    evalkit(
        "prefs", "simulate", written(tmp_path / "raters.yaml", RATERS | {"pairs": str(pairs)}), "--out", preferences
    )

    learning = {
        "name": "terse", "model": PAIRS["policy"], "preferences": str(preferences), "held_out": 0.34, "epochs": 4,
        "batch": 32, "learning_rate": 1e-3,
    }  # fmt: skip
    evalkit("train", "reward", written(tmp_path / "reward.yaml", learning), "--out", rewards)
    held_out = json.loads((rewards / "reward" / "training.json").read_text())["held_out"]["share"]
    assert held_out["low"] > 0.5

    showing = {"name": "shown", "model": PAIRS["policy"], "data": str(preferences), "learning_rate": 1e-3}
    evalkit("train", "sft", written(tmp_path / "sft.yaml", showing), "--out", tmp_path / "shown")
    loss = [row["loss"] for row in read_curves(tmp_path / "shown" / "sft")]
    assert loss[-1] < loss[0]

    tuning = {
        "name": "terse", "policy": PAIRS["policy"], "reward": {"model": str(rewards / "reward")}, "beta": [0.3, 0.1],
        "prompts": PAIRS["prompts"], "sampling": {"max_tokens": 40}, "updates": 30, "batch": 128, "samples": 4,
        "minibatches": 2, "learning_rate": 1e-3, "probe": {"prompts": 2, "samples": 4, "every": 10},
    }  # fmt: skip
    evalkit("train", "ppo", written(tmp_path / "ppo.yaml", tuning), "--out", tmp_path / "ladder")

    suite = {
        "name": "ladder", "checkpoints": {"base": PAIRS["policy"]} | {
            f"beta{beta}": {"path": str(tmp_path / "ladder" / f"beta-{beta}"), "kind": "tuned"} for beta in (0.3, 0.1)
        },
        "sampling": {"n": 32, "max_tokens": 40}, "prompts": PAIRS["prompts"],
        "metrics": ["length", "sequence_entropy", "kl_reverse", {"reward": {"model": str(rewards / "reward")}}],
    }  # fmt: skip
    run = tmp_path / "run"
    evalkit("run", written(tmp_path / "suite.yaml", suite), "--engine", "transformers", "--out", run)
    found = {
        (row["arm"], row["metric"].split("|")[0]): row["value"]
        for row in json.loads((run / "summary.json").read_text())["estimates"]
    }
    for beta in (0.3, 0.1):
        reached = json.loads((tmp_path / "ladder" / f"beta-{beta}" / "training.json").read_text())["reached"]
        assert found[f"beta{beta}", "reward"] > found["base", "reward"] + 0.5
        assert found[f"beta{beta}", "sequence_entropy"] < found["base", "sequence_entropy"]
        assert found[f"beta{beta}", "kl_reverse"] == pytest.approx(reached["kl"], rel=0.25)
