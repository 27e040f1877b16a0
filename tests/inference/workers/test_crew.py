"""Replicas in processes of their own: who is killed, what is poisoned, what does not fit, and what comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.simulated import simulated
from evalkit.errors import EngineError, InputError
from evalkit.inference.workers import places
from evalkit.plumbing.progress import Quiet
from evalkit.run import Run, run_suite
from evalkit.suite.schema import Suite

PROMPTS = 12
N = 32  # two prompts a call


def suite_of(metrics: Sequence[Any] = ("distinct_n", "length"), **checkpoint: Any) -> Suite:
    return Suite.model_validate({
        "name": "simulated",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base", **checkpoint}},
        "sampling": {"n": N, "max_tokens": 8, "seed": 3},
        "metrics": list(metrics),
        "variants": [],
        "prompts": [{"id": f"p{i:02}", "text": f"Write a line about number {i}."} for i in range(PROMPTS)],
    })  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Run, list[list[str]]]]:
    """Run the suite with a cache of its own; the run, and what its engines logged, a list of words a line."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(name: str, checkpoint: dict[str, Any] | None = None, **orders: Any) -> tuple[Run, list[list[str]]]:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        with simulated(folder, **orders) as log:
            result = run_suite(suite_of(**(checkpoint or {})), "simulated", folder / "run", Quiet())
            return result, [line.split() for line in log.read_text().splitlines()]

    return run


def deaths(folder: Path, count: int) -> str:
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).touch()
    return str(folder)


def summary(run: Run) -> bytes:
    return (run.folder / "summary.json").read_bytes()


def test_replicas_share_the_calls_and_change_nothing(runs: Callable[..., Any]) -> None:
    alone, log = runs("alone")
    assert len({pid for _, pid in log}) == 1
    together, log = runs("together", {"replicas": 3}, call_seconds=0.1)
    assert len({pid for what, pid in log if what == "load"}) == 3
    assert sum(what == "call" for what, _ in log) == PROMPTS * N // 64
    assert summary(together) == summary(alone)
    assert together.sampled == alone.sampled == PROMPTS * N


def test_killed_engines_cost_nothing_but_their_calls(runs: Callable[..., Any], tmp_path: Path) -> None:
    whole, _ = runs("whole")
    killed, log = runs("killed", {"replicas": 2}, deaths=deaths(tmp_path / "deaths", 3))
    assert sum(what == "load" for what, *_ in log) >= 4
    assert summary(killed) == summary(whole)
    assert killed.sampled == whole.sampled


def test_a_prompt_that_kills_every_engine_is_named_and_the_others_are_measured(runs: Callable[..., Any]) -> None:
    run, _ = runs("poisoned", dies_of=["p05"])
    [alarm] = [alarm for alarm in run.summary.alarms if alarm.kind == "no answers"]
    assert alarm.arm == "base"
    assert alarm.message.startswith("prompt 'p05' has none, for no engine survives it: engine simulated of checkpoint")
    [estimate] = [one for one in run.summary.estimates if one.metric == "length"]
    assert estimate.prompts == PROMPTS - 1
    assert run.sampled == (PROMPTS - 1) * N
    assert "p05" in run.report.read_text()


def test_a_batch_that_does_not_fit_is_halved_until_it_does(runs: Callable[..., Any]) -> None:
    run, _ = runs("full", most=20)
    assert run.sampled == PROMPTS * N
    assert not [alarm for alarm in run.summary.alarms if alarm.kind == "no answers"]


def test_an_engine_that_always_dies_is_one_line(runs: Callable[..., Any]) -> None:
    with pytest.raises(EngineError, match=r"died while running sample \(killed by SIGKILL.*given up, for 6 engines in"):
        runs("hopeless", dies_of=[f"p{i:02}" for i in range(PROMPTS)])


def test_each_replica_has_gpus_of_its_own(
    runs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(places, "visible_devices", lambda: ("0", "1", "2", "3", "5"))
    _, log = runs("gpus", {"tensor_parallel": 2}, call_seconds=0.1)
    assert sorted(names for what, _, names in log if what == "load") == ["0,1", "2,3"]


def test_more_gpus_than_there_are_is_one_line(runs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "visible_devices", lambda: ("0", "1"))
    with pytest.raises(InputError, match=r"'base' asks for 4 GPUs \(tensor_parallel 2 x pipeline_parallel 1 x repl"):
        runs("greedy", {"tensor_parallel": 2, "replicas": 2})


def test_room_is_lent_in_turn_and_never_twice() -> None:
    room = places._Room(["0", "1", "2"])
    lent: set[str] = set()
    lock = threading.Lock()
    order: list[tuple[int, int]] = []

    def borrow(turn: tuple[int, int], count: int) -> None:
        with room.taken(count, turn) as names:
            with lock:
                assert not lent & set(names)
                lent.update(names)
                order.append(turn)
            time.sleep(0.01)
            with lock:
                lent.difference_update(names)

    with room.taken(3, (-1, 0)):
        threads = [threading.Thread(target=borrow, args=((turn, 0), 1 + turn % 3)) for turn in range(8)]
        for thread in threads:
            thread.start()
        while len(room._waiting) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == sorted(order)
