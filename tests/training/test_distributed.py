"""PPO over two processes, which speak through gloo: what one process does, and one set of outputs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
import yaml
from accelerate import Accelerator
from safetensors.torch import load_file

from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import EvalkitError, InputError
from evalkit.training.config import PpoConfig
from evalkit.training.distributed import agreed, check_batch, open_accelerator, together
from tests import ROOT
from tests.training import toy
from tests.training.processes import one_update, uneven_memory
from tests.training.processes.toy_ppo import PROMPTS, REWARDS, setting
from tests.training.whole_training import without_seconds

HERE = "tests.training.processes"
LIMIT = 200
"""Seconds after which processes that wait for each other are ended."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
}
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m")  # fmt: skip
"""`--multi_gpu` means several processes; without a GPU accelerate lets them speak through gloo."""
COMMANDS = {"ddp": "evalkit", "fsdp2": f"{HERE}.sharded_cli"}


def python(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process said; one that does not end is ended, with its children, and fails the test."""
    try:
        return process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        pytest.fail(f"a process hangs: {process.communicate()}")


def two(module: str, *arguments: object) -> None:
    """Run a module of `processes/` in two processes of one group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [python("-m", f"{HERE}.{module}", *arguments, RANK=rank, LOCAL_RANK=rank, **group) for rank in ("0", "1")]
    try:
        said = [end_of(process) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(("spread", "bound"), [("ddp", 1e-5), ("fsdp2", 1e-4)])
def test_two_processes_take_the_step_of_one(tmp_path: Path, kind: str, spread: str, bound: float) -> None:
    # Three steps an update, all on the whole batch; gradients are clipped, and ratios too.
    check_same_steps(tmp_path, kind, spread, bound, batch=40, minibatches=1, epochs=3, max_grad_norm=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("spread", ["ddp", "fsdp2"])
def test_two_processes_take_the_step_of_one_with_adapters(tmp_path: Path, spread: str) -> None:
    check_same_steps(tmp_path, "llama", spread, 1e-5, batch=40, minibatches=1, microbatch=10, lora={"rank": 4})


def check_same_steps(folder: Path, kind: str, spread: str, bound: float, **changes: object) -> None:
    checkpoint, one, many = folder / "checkpoint", folder / "one", folder / "two"
    toy.checkpoint(checkpoint, kind)
    one.mkdir()
    many.mkdir()
    one_update.go(setting(checkpoint, Accelerator(cpu=True), **changes), one, updates=2)
    two("one_update", checkpoint, many, spread, json.dumps(changes))
    for update in range(2):
        expected, found = (load_file(out / f"{update}.safetensors") for out in (one, many))
        torch.testing.assert_close(found, expected, rtol=0, atol=bound)
        advantages = load_file(one / f"advantages-{update}-0.safetensors")["advantages"]
        for rank in range(2):
            share = load_file(many / f"advantages-{update}-{rank}.safetensors")["advantages"]
            torch.testing.assert_close(share, advantages[rank::2, : share.shape[1]], rtol=0, atol=bound)
    rows = json.loads((one / "rows-0.json").read_text())
    assert rows[1]["kl"] > 100 * bound  # the first update has moved the policy
    for rank in range(2):
        for row, found in zip(rows, json.loads((many / f"rows-{rank}.json").read_text()), strict=True):
            assert found == pytest.approx(row, rel=bound, abs=bound)


@pytest.mark.slow
def test_two_processes_reach_the_optimum(tmp_path: Path) -> None:
    toy.checkpoint(tmp_path / "checkpoint")
    two("optimum", tmp_path / "checkpoint", tmp_path)
    log_probs = load_file(tmp_path / "log_probs.safetensors")
    for reference, policy, rewards in zip(log_probs["before"], log_probs["after"], REWARDS.double(), strict=True):
        ended = toy.ending(reference, policy, rewards, beta=1.0)
        assert ended.best_kl <= 1
        assert ended.distance < 0.03
        assert abs(ended.kl - ended.best_kl) < 0.02
        assert 0 <= ended.gap < 0.01


@pytest.mark.slow
def test_processes_of_unlike_memory_sample_from_shards_in_step(tmp_path: Path) -> None:
    toy.checkpoint(tmp_path / "checkpoint")
    two("uneven_memory", tmp_path / "checkpoint", tmp_path)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == [str(uneven_memory.PROMPTS)] * 2


def toy_config(folder: Path, **changes: object) -> Path:
    toy.checkpoint(folder / "checkpoint")
    config = {
        "name": "toy", "reward": {"utility": {"words": 1}}, "beta": 1.0, "sampling": {"max_tokens": toy.LONGEST},
        "policy": {"path": str(folder / "checkpoint"), "kind": "base", "frame": {"template": "{prompt}"}},
        "prompts": [{"id": prompt.id, "text": prompt.text} for prompt in PROMPTS], "updates": 8, "batch": 16,
        "minibatches": 2, "learning_rate": 3e-3, "save_every": 2, "probe": {"prompts": 2, "samples": 4, "every": 8},
    }  # fmt: skip
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(config | changes))
    return path


def launched(spread: str, config: Path, out: Path) -> subprocess.Popen[str]:
    return python(*LAUNCH, COMMANDS[spread], "train", "ppo", config, "--out", out, "--quiet")


def kill_one(launcher: subprocess.Popen[str]) -> None:
    """Kill the second process of a launch, as a machine that runs out of memory does."""
    workers = psutil.Process(launcher.pid).children(recursive=True)
    (second,) = (worker for worker in workers if worker.environ().get("RANK") == "1")
    second.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("spread", ["ddp", "fsdp2"])
def test_a_launch_that_loses_a_process_ends_and_goes_on_to_the_same_result(tmp_path: Path, spread: str) -> None:
    config, whole, broken = toy_config(tmp_path), tmp_path / "whole", tmp_path / "broken"
    unbroken = launched(spread, config, whole)
    said = end_of(unbroken)
    assert unbroken.returncode == 0, said

    launcher = launched(spread, config, broken)
    state = broken / "beta-1.work" / "state.safetensors"
    while not state.exists() and launcher.poll() is None:
        time.sleep(0.01)
    kill_one(launcher)
    end_of(launcher)
    assert launcher.returncode != 0
    assert not (broken / "beta-1").exists()
    again = launched(spread, config, broken)
    said = end_of(again)
    assert again.returncode == 0, said

    rows, others = (read_curves(out / "beta-1.work") for out in (whole, broken))
    assert [row["update"] for row in rows] == list(range(8))
    assert without_seconds(others) == without_seconds(rows)
    assert {path.name for path in whole.iterdir()} == {"beta-1", "beta-1.work", "train.json", "training.html"}
    assert json.loads((broken / "train.json").read_text())["state"] == "complete"
    weights, other = (load_file(out / "beta-1" / "model.safetensors") for out in (whole, broken))
    assert weights.keys() == load_file(tmp_path / "checkpoint" / "model.safetensors").keys()
    assert all(torch.equal(other[name], weight) for name, weight in weights.items())


@pytest.mark.slow
def test_where_one_process_cannot_go_on_all_end_and_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "beta-1.work").write_text("in the way")
    launcher = launched("ddp", toy_config(tmp_path), tmp_path / "out")
    _, errors = end_of(launcher)
    assert launcher.returncode != 0
    assert f"{tmp_path / 'out' / 'beta-1.work'}" in errors
    assert "could not be written" in errors
    assert "[rank" not in errors  # a traceback of one of them


def small_config(**changes: object) -> PpoConfig:
    given = {
        "name": "toy", "policy": CheckpointSpec(path="nowhere", kind="base"), "reward": {"utility": {"words": 1}},
        "beta": 1.0, "prompts": PROMPTS, "batch": 24, "minibatches": 4,
    }  # fmt: skip
    return PpoConfig.model_validate(given | changes)


def test_a_batch_must_split_evenly() -> None:
    check_batch(small_config(), 3)
    with pytest.raises(InputError, match=r"batch is 24; over 4 processes and 4 minibatches .* multiple of 16"):
        check_batch(small_config(), 4)


def test_shards_without_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="on GPUs only"):
        open_accelerator(small_config())


def test_a_folder_that_processes_do_not_share_is_refused() -> None:
    def told(other: int) -> Any:
        return SimpleNamespace(device=torch.device("cpu"), gather=lambda mine: torch.cat([mine, torch.tensor([other])]))

    assert agreed(4, Path("out"), told(other=4)) == 4
    with pytest.raises(InputError, match="file system that all nodes share"):
        agreed(4, Path("out"), told(other=0))


def test_a_broken_connection_is_told_as_the_end_of_another_process() -> None:
    second: Any = SimpleNamespace(num_processes=2, process_index=1)
    with pytest.raises(EvalkitError, match="process 1 stops because another one did"), together(second):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    with pytest.raises(RuntimeError, match="shapes"), together(second):
        raise RuntimeError("shapes do not fit")
