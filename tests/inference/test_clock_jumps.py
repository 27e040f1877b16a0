"""Clocks that are set back by hours and forward by days while a run samples, is killed and goes on.

libfaketime moves the clock of a real process and of its engines, by a file that says by how much.
"""

from __future__ import annotations

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
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from tests.inference.workers.test_crew import PROMPTS, N, suite_of

libfaketime = pytest.importorskip("libfaketime")

LIBRARY = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
CALLS = PROMPTS * N // 64
PATIENCE = 300.0


def drive(folder: Path, seconds_a_call: float = 0.0) -> None:
    """Run or resume the suite in a folder, in this process."""
    with simulated(folder, call_seconds=seconds_a_call):
        run_suite(suite_of(), "simulated", folder / "run", Quiet())


def start(folder: Path, seconds_a_call: float, clock: Path) -> subprocess.Popen[str]:
    code = f"from pathlib import Path; from {__name__} import drive; drive(Path({str(folder)!r}), {seconds_a_call})"
    moved = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")} | moved
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


def shards(folder: Path) -> int:
    return len(list((folder / "run" / "completions").glob("[!.]*.parquet")))


def ended(process: subprocess.Popen[str]) -> str:
    """What a run said that ended well."""
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0, said
    return said


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    still, jumped, clock = tmp_path / "still", tmp_path / "jumped", tmp_path / "clock"
    for folder in (still, jumped):
        folder.mkdir()
    drive(still)
    clock.write_text("+0")
    run = start(jumped, 0.4, clock)
    wait_for(lambda: shards(jumped) >= 1, run)
    clock.write_text("-5h")
    wait_for(lambda: shards(jumped) >= 3, run)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    there = shards(jumped)
    clock.write_text("+3d")
    run = start(jumped, 0.4, clock)
    wait_for(lambda: shards(jumped) > there, run)
    clock.write_text("-9h")
    said = ended(run)
    assert "from the cache" not in said
    manifest = json.loads((jumped / "run" / "run.json").read_text())
    sampled = [row["sampled"] for row in manifest["shards"]]
    assert min(sampled) < manifest["started"] < max(sampled), "the clock did jump under the run"
    assert manifest["samples"]["base"]["from_cache"] == 0
    made = [line.split()[0] for line in (jumped / "log.txt").read_text().splitlines()].count("call")
    assert CALLS <= made <= CALLS + 1, "only the call that the kill cut off is made again"
    assert (jumped / "run" / "summary.json").read_bytes() == (still / "run" / "summary.json").read_bytes()
    assert "not known, for the clock was set back" in (jumped / "run" / "report.html").read_text()
