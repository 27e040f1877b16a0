"""Something is killed at random fifty times, the driver or an engine, and nothing is lost or counted twice.

    python -m bench.soak [--kills 50] [--seed 0]

A run of 640 prompts x 32 completions by three replicas of a simulated engine goes on through all of it: an engine that
is killed is opened anew by the run itself, and a driver that is killed is started again by the same call. In the end
the shards hold every draw of every prompt once, and the summary is, byte for byte, that of a run that nothing befell.
Only where chance kills two engines in the same call is that call cut, as one that holds a prompt which kills engines
would be: its parts are other draws of the same distribution, and other numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from bench.simulated import simulated
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.suite.schema import Suite

PROMPTS, N, REPLICAS = 640, 32, 3
SECONDS_A_CALL = 0.6
DRIVER_SHARE = 0.3
"""Of the kills, how many are the driver's."""


def suite(prompts: int) -> Suite:
    return Suite.model_validate({
        "name": "soak",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base", "replicas": REPLICAS}},
        "sampling": {"n": N, "max_tokens": 8, "seed": 3},
        "metrics": ["distinct_n", "length"],
        "variants": [],
        "prompts": [{"id": f"p{i:03}", "text": f"Write a line about number {i}."} for i in range(prompts)],
    })  # fmt: skip


def drive(folder: Path, prompts: int, seconds_a_call: float) -> None:
    """Run or resume the suite in a folder, in this process."""
    with simulated(folder, call_seconds=seconds_a_call):
        run_suite(suite(prompts), "simulated", folder / "run", Quiet())


def start(folder: Path, prompts: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "bench.soak", "--drive", str(folder), "--prompts", str(prompts)]
    with (folder / "driver.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def engines_of(driver: int) -> list[int]:
    """Processes of the engines that a driver has opened."""
    threads = Path(f"/proc/{driver}/task").glob("*/children")
    with suppress(OSError):  # a process that ends while it is looked at
        numbers = [int(number) for thread in threads for number in thread.read_text().split()]
        return [number for number in numbers if b"child_process" in Path(f"/proc/{number}/cmdline").read_bytes()]
    return []


def soak(folder: Path, prompts: int, kills: int, rng: random.Random) -> Counter[str]:
    """Run to the end while killing; what was killed how often."""
    killed: Counter[str] = Counter()
    driver = start(folder, prompts)
    while True:
        try:
            code = driver.wait(timeout=rng.uniform(0.5, 3.0))
        except subprocess.TimeoutExpired:
            code = None
        if code == 0:
            return killed
        if code is not None:
            driver = start(folder, prompts)
        elif killed.total() < kills and (engines := engines_of(driver.pid)):
            victim = driver.pid if rng.random() < DRIVER_SHARE else rng.choice(engines)
            os.kill(victim, signal.SIGKILL)
            killed["driver" if victim == driver.pid else "engine"] += 1


def calls_of(run: Path) -> int:
    """How many calls a run lists; more than were planned where some were cut."""
    return len(json.loads((run / "run.json").read_text())["shards"])


def draws_in(run: Path) -> Counter[tuple[str, int]]:
    """How often each draw of each prompt stands in the shards that the run lists."""
    keys = {row["key"] for row in json.loads((run / "run.json").read_text())["shards"]}
    draws: Counter[tuple[str, int]] = Counter()
    for path in (run / "completions").glob("*.parquet"):
        if path.name.partition(".")[0] in keys:
            table = pq.read_table(path, columns=["prompt_id", "slot"])
            draws.update(zip(table["prompt_id"].to_pylist(), table["slot"].to_pylist(), strict=True))
    return draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        drive(options.drive, options.prompts, SECONDS_A_CALL)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "alone").mkdir()
        (folder / "soaked").mkdir()
        os.environ["XDG_CACHE_HOME"] = str(folder / "alone" / "cache")
        drive(folder / "alone", options.prompts, 0.0)
        began = time.monotonic()
        rng = random.Random(options.seed)
        killed = soak(folder / "soaked", options.prompts, options.kills, rng)
        seconds = time.monotonic() - began
        same = (folder / "alone/run/summary.json").read_bytes() == (folder / "soaked/run/summary.json").read_bytes()
        cut = calls_of(folder / "soaked" / "run") - calls_of(folder / "alone" / "run")
        draws = draws_in(folder / "soaked" / "run")
    lost = options.prompts * N - len(draws)
    twice = draws.total() - len(draws)
    print(f"killed {killed['engine']} engines and {killed['driver']} drivers in {seconds:.0f} s")
    print(f"summary equal: {same}; calls cut: {cut}; draws lost: {lost}; draws there twice: {twice}")
    if lost or twice or not (same or cut):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
