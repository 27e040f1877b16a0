"""Trainings on given items over two processes that accelerate launched: the steps of one, and what one process lost is known."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import InputError
from evalkit.training.data_parallel import added_up, join_processes, of_first, own_share
from tests.training.test_distributed import LAUNCH, end_of, kill_one, python
from tests.training.test_killed_commands import METHODS, command, config_of, in_full
from tests.training.whole_training import without_seconds


def test_alone_a_process_has_all_and_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_processes().type in ("cpu", "cuda")
    assert (own_share([1, 2, 3]), of_first("me"), added_up({"loss": 1.5})) == ([1, 2, 3], "me", {"loss": 1.5})


def test_networks_in_shards_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="--multi_gpu"):
        join_processes()


def launched(method: str, config: Path, out: Path) -> subprocess.Popen[str]:
    return python(*LAUNCH, "evalkit", *command(method, config, out))


def ended_well(launcher: subprocess.Popen[str]) -> str:
    said, errors = end_of(launcher)
    assert launcher.returncode == 0, errors
    return said


@pytest.mark.slow
def test_two_processes_tune_to_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS["dpo"], "epochs", 2)
    config = config_of(tmp_path, "dpo")
    said = ended_well(launched("dpo", config, tmp_path / "two"))
    one, two = in_full("dpo", config, tmp_path / "one"), tmp_path / "two" / "beta-0.5"
    assert said.splitlines() == [str(two)], "the first process alone speaks"
    for row, other in zip(read_curves(one), read_curves(two), strict=True):
        assert without_seconds([other])[0] == pytest.approx(without_seconds([row])[0], rel=1e-3, abs=1e-4)
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, two))
    before = load_file(tmp_path / "toy" / "model.safetensors")
    assert max((weights[name] - before[name]).abs().max() for name in before) > 1e-3
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=0, atol=1e-5)
    facts = [json.loads((folder / "training.json").read_text())["held_out"] for folder in (one, two)]
    assert facts[1] == pytest.approx(facts[0], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "best-of-n"])
def test_a_launch_that_loses_a_process_ends_and_goes_on_to_the_same_result(tmp_path: Path, method: str) -> None:
    config, whole, broken = config_of(tmp_path, method), tmp_path / "whole", tmp_path / "broken"
    ended_well(launched(method, config, whole))
    launcher = launched(method, config, broken)
    while not list(broken.glob("*.work/state.safetensors")) and launcher.poll() is None:
        time.sleep(0.005)
    kill_one(launcher)
    end_of(launcher)
    assert launcher.returncode != 0
    ended_well(launched(method, config, broken))
    [checkpoint] = (path.parent for path in whole.glob("*/model.safetensors"))
    for name in ("model.safetensors", "training.json"):
        assert (broken / checkpoint.name / name).read_bytes() == (checkpoint / name).read_bytes()
    assert without_seconds(read_curves(broken / checkpoint.name)) == without_seconds(read_curves(checkpoint))
    assert sorted(path.name for path in broken.iterdir()) == sorted(path.name for path in whole.iterdir())


@pytest.mark.slow
def test_where_one_process_cannot_go_on_all_end_and_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "beta-0.5.work").write_text("in the way")
    launcher = launched("dpo", config_of(tmp_path, "dpo"), tmp_path / "out")
    _, errors = end_of(launcher)
    assert launcher.returncode != 0
    assert "could not be written" in errors
    assert "[rank" not in errors


@pytest.mark.slow
def test_each_process_draws_for_its_own_prompts_and_all_are_kept(tmp_path: Path) -> None:
    config = config_of(tmp_path, "best-of-n")
    ended_well(launched("best-of-n", config, tmp_path / "two"))
    in_full("best-of-n", config, tmp_path / "one")
    one, two = (
        [json.loads(line) for line in (tmp_path / out / "best-of-4.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    )
    assert [row["prompt_id"] for row in two] == [row["prompt_id"] for row in one]
    first = one[0]["prompt_id"]
    assert [row for row in two if row["prompt_id"] == first] == [row for row in one if row["prompt_id"] == first]
