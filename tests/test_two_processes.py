"""Real `evalkit run` processes at the same time: over one cache, in one folder, and in one that a dead host has locked."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.simulated import simulated
from bench.soak import draws_in
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.runs.shards import call_of, checksum
from evalkit.suite.schema import load_suite

PROMPTS, N = 12, 32
CALLS = PROMPTS * N // 64
PATIENCE = 300.0
SUITE = """
name: two
checkpoints: {{base: {{path: "lab:base", kind: base}}}}
sampling: {{n: {n}, max_tokens: 8, seed: 3, temperature: {temperatures}}}
metrics: [distinct_n, length]
variants: []
prompts:
"""
COMMAND = """
import os, sys
from pathlib import Path
from bench.simulated import simulated
from evalkit.cli.main import main
with simulated(Path(sys.argv[1]), **eval(sys.argv[2])):
    main(["run", *sys.argv[3:], "--engine", "simulated"])
"""


def write_suite(folder: Path, name: str, temperatures: str = "[1.0]") -> Path:
    prompts = [f"  - {{id: p{i:02}, text: Write a line about number {i}.}}\n" for i in range(PROMPTS)]
    path = folder / name
    path.write_text(SUITE.format(n=N, temperatures=temperatures) + "".join(prompts))
    return path


def run(suite: Path, out: Path, cache: Path, **orders: object) -> subprocess.Popen[str]:
    """`evalkit run SUITE --out OUT`, whose engine's log is beside OUT."""
    logs = out.with_suffix(".logs")
    logs.mkdir(exist_ok=True)
    words = [sys.executable, "-c", COMMAND, str(logs), repr(orders), str(suite), "--out", str(out)]
    here = os.environ | {"XDG_CACHE_HOME": str(cache), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(words, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def calls_of(out: Path) -> int:
    log = out.with_suffix(".logs") / "log.txt"
    return log.read_text().split().count("call") if log.exists() else 0


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


def summary(out: Path) -> bytes:
    return (out / "summary.json").read_bytes()


def check_whole(folder: Path) -> None:
    """No half file, and every shard is what its name says."""
    assert not list(folder.rglob("*.part"))
    assert not list(folder.rglob("*.damaged"))
    for path in folder.rglob("completions/**/*.parquet"):
        assert checksum(path.read_bytes()) == path.name.split(".")[1]


def own_calls(out: Path) -> int:
    """Shards that the run itself sampled."""
    run = json.loads((out / "run.json").read_text())["run"]
    calls = [call_of(path) for path in (out / "completions").glob("[!.]*.parquet")]
    return sum(call is not None and call.run == run for call in calls)


@pytest.mark.slow
def test_runs_over_one_cache_take_from_it_and_spoil_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    same, more = write_suite(tmp_path, "same.yaml"), write_suite(tmp_path, "more.yaml", "[1.0, 0.5]")
    outs = [tmp_path / name for name in ("one", "two", "more")]
    processes = [run(suite, out, cache, call_seconds=0.3) for suite, out in zip((same, same, more), outs, strict=True)]
    for process in processes:
        ended(process)
    one, two, _ = outs
    assert summary(one) == summary(two)
    for out, arms in zip(outs, (1, 1, 2), strict=True):
        draws = draws_in(out)
        assert set(draws.values()) == {arms}, "each draw once an arm"
        assert len(draws) == PROMPTS * N
        assert own_calls(out) <= calls_of(out) <= arms * CALLS, "nothing twice"
        origins = json.loads((out / "run.json").read_text())["samples"].values()
        assert sum(origin["from_cache"] for origin in origins) == (arms * CALLS - own_calls(out)) * 64
    check_whole(tmp_path)


@pytest.mark.slow
def test_a_second_process_in_a_folder_is_told_so_and_goes_on_when_the_first_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, out, gate = write_suite(tmp_path, "suite.yaml"), tmp_path / "run", tmp_path / "gate"
    first = run(suite, out, tmp_path / "cache", gate=str(gate), call_seconds=0.3)
    wait_for(lambda: calls_of(out) == 1, first)
    check_refused(run(suite, out, tmp_path / "cache"), f"evalkit run {first.pid} on ")
    assert first.poll() is None
    gate.touch()
    wait_for(lambda: len(list((out / "completions").glob("[!.]*.parquet"))) >= 2, first)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    with (out / ".lock").open("w+") as lock:  # as the file server of a host that died goes on holding it
        lock.write("evalkit run 7 on a-dead-node, since 2026-01-01 00:00:00 UTC")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = check_refused(run(suite, out, tmp_path / "cache"), "evalkit run 7 on a-dead-node")
        assert f"delete {out / '.lock'}" in said
        (out / ".lock").unlink()
        ended(run(suite, out, tmp_path / "cache"))
    assert set(draws_in(out).values()) == {1}
    assert calls_of(out) <= CALLS + 1, "only the call that the kill cut off is made again"
    check_whole(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another-cache"))
    with simulated(tmp_path):
        run_suite(load_suite(suite), "simulated", tmp_path / "alone", Quiet())
    assert summary(out) == summary(tmp_path / "alone")


def check_refused(process: subprocess.Popen[str], holder: str) -> str:
    """What it said of who is at work in its folder."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 5
    assert holder in said
    assert "is at work in" in said
    assert "Traceback" not in said
    return " ".join(said.split())
