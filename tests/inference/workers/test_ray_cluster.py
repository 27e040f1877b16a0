"""Engines and models on a Ray cluster of several nodes, one of which is lost in the middle."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.simulated import simulated
from evalkit.checkpoints.folder import locate
from evalkit.errors import EngineError, InputError
from evalkit.inference.plan import cluster_of
from evalkit.inference.workers.models import measured_on
from evalkit.metrics.embeddings import encoder
from evalkit.metrics.quality import reward
from evalkit.plumbing.models import Batch, answers, batched
from evalkit.plumbing.progress import Quiet
from evalkit.run import Run, run_suite
from tests.inference.workers.test_crew import PROMPTS, N, suite_of, summary
from tests.inference.workers.toy_model import logged, toy

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")


def is_at_work(process: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    return False


def run_on(engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch, metrics: Sequence[Any] = ("length",)) -> Run:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return run_suite(suite_of(metrics), engine, folder / "run", Quiet())


def judge_of_all(folder: Path) -> str:
    """The lab's reward model, but for its tokenizer, which names no word unknown: it judges what is simulated too."""
    copy = shutil.copytree(locate("lab:reward"), folder)
    settings = copy / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"unk_token": None}))
    (copy / "special_tokens_map.json").unlink(missing_ok=True)
    return str(copy)


def losing_one(
    nodes: Any, at_work: Callable[[], Sequence[str]], count: int, then: Callable[[], None]
) -> threading.Thread:
    """A thread that takes a node away once so many processes are `at_work`, and goes on when one of them is gone."""

    def lose() -> None:
        while len(pids := set(at_work())) < count:
            time.sleep(0.05)
        nodes.remove_node(sorted(nodes.worker_nodes, key=str)[0], allow_graceful=False)
        # Until then what ran on the node would still answer.
        while all(map(is_at_work, pids)):
            time.sleep(0.05)
        then()

    losing = threading.Thread(target=lose)
    losing.start()
    return losing


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
@pytest.mark.timeout(600)  # two busy cores start ten processes, some of which load torch
def test_a_node_lost_in_the_middle_changes_nothing(
    cluster: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a processor a network's last bits depend on the number of threads, of which Ray gives an actor one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(reward, "PAIRS", 64)
    monkeypatch.setattr(encoder, "_BATCH", 64)
    metrics = [{"reward": {"model": judge_of_all(tmp_path / "judge")}}, "vendi"]
    with simulated(tmp_path) as log:
        alone = run_on("simulated", tmp_path / "alone", monkeypatch, metrics)
        log.unlink()
    gate = tmp_path / "gate"
    with simulated(tmp_path, gate=str(gate)) as log:
        nodes = cluster(3)
        losing = losing_one(nodes, lambda: [pid for _, pid, _ in logged(log, "call")], 3, gate.touch)
        lost = run_on(f"ray:simulated@{nodes.address}", tmp_path / "lost", monkeypatch, metrics)
        losing.join()
        assert len(logged(log, "call")) == PROMPTS * N // 64 + 1
    assert summary(lost) == summary(alone)
    assert lost.sampled == alone.sampled == PROMPTS * N
    [score] = [one for one in lost.summary.estimates if one.metric.startswith("reward")]
    assert score.prompts == PROMPTS
    lose_another_while_it_measures(nodes, tmp_path)


def lose_another_while_it_measures(nodes: Any, folder: Path) -> None:
    log = folder / "log"
    (folder / "hold").touch()
    batches = [Batch(batch.items, ("?",)) for batch in batched([f"text {number}" for number in range(48)], 8)]
    losing = losing_one(nodes, lambda: [pid for _, pid, _ in logged(log, "call")], 2, (folder / "hold").unlink)
    with measured_on(nodes.address, Quiet()):
        answered = answers(toy(folder), "measure", batches)
    losing.join()
    assert answered == [[(item, "?", 8) for item in batch.items] for batch in batches]
    assert len(logged(log, "call")) == len(batches) + 1


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
