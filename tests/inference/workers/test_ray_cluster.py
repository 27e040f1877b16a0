"""Engines on a Ray cluster of several nodes, one of which is lost in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.simulated import simulated
from evalkit.errors import EngineError, InputError
from evalkit.inference.plan import cluster_of
from evalkit.plumbing.progress import Quiet
from evalkit.run import Run, run_suite
from tests.inference.workers.test_crew import PROMPTS, N, suite_of, summary

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")


def is_at_work(process: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    return False


def run_on(engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return run_suite(suite_of(), engine, folder / "run", Quiet())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Start nodes, which know the simulated engine under these orders."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    started: list[Any] = []

    def start(nodes: int) -> Any:
        one = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        started.append(one)
        for _ in range(nodes - 1):
            one.add_node(num_cpus=1)
        return one

    yield start
    ray.shutdown()
    for one in started:
        one.shutdown()


@pytest.mark.slow
def test_a_node_lost_in_the_middle_changes_nothing(
    cluster: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated(tmp_path) as log:
        alone = run_on("simulated", tmp_path / "alone", monkeypatch)
        log.unlink()
    gate = tmp_path / "gate"
    with simulated(tmp_path, gate=str(gate)) as log:
        nodes = cluster(3)

        def lose_one() -> None:
            """When each node has a call that it waits in."""
            while not log.exists() or log.read_text().count("call") < 3:
                time.sleep(0.05)
            nodes.remove_node(sorted(nodes.worker_nodes, key=str)[0], allow_graceful=False)
            callers = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("call")]
            while all(map(is_at_work, callers)):
                time.sleep(0.05)
            gate.touch()

        losing = threading.Thread(target=lose_one)
        losing.start()
        lost = run_on(f"ray:simulated@{nodes.address}", tmp_path / "lost", monkeypatch)
        losing.join()
        logged = [line.split()[0] for line in log.read_text().splitlines()]
        assert logged.count("call") == PROMPTS * N // 64 + 1
    assert summary(lost) == summary(alone)
    assert lost.sampled == alone.sampled == PROMPTS * N


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated(tmp_path), pytest.raises(EngineError, match=r"^Ray at '127.0.0.1:1' cannot be joined: "):
        run_on("ray:simulated@127.0.0.1:1", tmp_path / "run", monkeypatch)


@pytest.mark.parametrize(
    ("asked", "cluster", "engine"),
    [
        ("vllm", None, "vllm"),
        ("ray", "auto", "auto"),
        ("ray:transformers", "auto", "transformers"),
        ("ray@10.0.0.1:6379", "10.0.0.1:6379", "auto"),
        ("ray:vllm@10.0.0.1:6379", "10.0.0.1:6379", "vllm"),
    ],
)
def test_what_an_engine_option_means(asked: str, cluster: str | None, engine: str) -> None:
    assert cluster_of(asked) == (cluster, engine)


@pytest.mark.parametrize("asked", ["ray@", "ray:"])
def test_an_engine_option_that_is_cut_short_is_refused(asked: str) -> None:
    with pytest.raises(InputError, match="is cut short; write ray for the cluster that is found"):
        cluster_of(asked)
