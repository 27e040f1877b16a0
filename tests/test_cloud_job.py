"""A cloud's job service in miniature: the command of docs/scale.md, started again on other machines as the page says."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from bench.millions import tree
from tests.test_run import drawn, shards

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
CALLS = 3
PROMPTS = [{"id": f"p{row}", "text": f"Write a line about number {row}."} for row in range(12)]
SUITE = {
    "name": "job",
    "checkpoints": {"base": {"path": "lab:base", "kind": "base"}},
    "sampling": {"n": 64, "max_tokens": 8, "seed": 3},
    "metrics": ["distinct_n", "length"],
    "variants": [],
    "prompts": PROMPTS,
}
"""Of `CALLS` calls."""
EVALKIT = f"""#!/bin/bash
# With the engine that every machine has and that is there in a second.
module=evalkit
if [ -n "$STANDS_STILL_AT" ]; then set -- "$STANDS_STILL_AT" "$@"; module=tests.killed_at; fi
exec {sys.executable} -m $module "$@" --engine transformers
"""


@dataclass(frozen=True)
class Job:
    """What docs/scale.md says of a job."""

    command: str
    """Of its container, with SUITE and NAME to be put in."""
    stays: frozenset[str]
    """The variables that name folders on the disk which outlives the machine."""
    at_fault: int
    """The exit code that is not retried."""


def read_page() -> Job:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    section = page.partition("## A cloud's job service\n")[2].partition("\n## ")[0]
    [command] = re.findall(r"command is `(evalkit run [^`]+)`", section.replace("\n", " "))
    [stays] = re.findall(r"\(([^)]+) there too\)", section.replace("\n", " "))
    [code] = re.findall(r"Retry on any exit code but (\d+)", section.replace("\n", " "))
    return Job(command, frozenset(re.findall(r"`(\w+)`", stays)), int(code))


@dataclass(frozen=True)
class Ended:
    """One machine's attempt."""

    code: int
    said: str
    shards: dict[str, tuple[int, int]]
    """Those that the run then has."""


Disturbance = Callable[[subprocess.Popen[str]], None]


class Service:
    """Lends machines that see one shared disk, and nothing else of each other's."""

    def __init__(self, folder: Path, suite: Mapping[str, object]) -> None:
        self.shared, self.folder, self.page = folder / "shared", folder, read_page()
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "evalkit").write_text(EVALKIT)
        (folder / "bin" / "evalkit").chmod(0o755)
        self.shared.mkdir()
        (folder / "suite.yaml").write_text(yaml.safe_dump(suite))

    @property
    def run(self) -> Path:
        return self.shared / "runs" / "job"

    def runs(self, *disturbed: Disturbance) -> list[Ended]:
        """All attempts; the n-th machine is disturbed by the n-th of `disturbed`, others are left in peace."""
        attempts: list[Ended] = []
        while not attempts or attempts[-1].code not in {0, self.page.at_fault}:
            assert len(attempts) <= len(disturbed), attempts
            disturb = disturbed[len(attempts)] if len(attempts) < len(disturbed) else None
            process = self._machine(len(attempts), disturb.shards if isinstance(disturb, TakenBack) else None)
            if disturb is not None:
                disturb(process)
            said, errors = process.communicate(timeout=PATIENCE)
            attempts.append(Ended(process.returncode, said + errors, shards(self.run)))
        return attempts

    def _machine(self, number: int, stands_still_at: int | None) -> subprocess.Popen[str]:
        """The command on a new machine, whose own disk is empty."""
        own = self.folder / f"machine-{number}"
        own.mkdir()
        environment = {
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            "HOME": str(own),
            "TMPDIR": str(own),
            "STANDS_STILL_AT": "" if stands_still_at is None else str(stands_still_at),
        } | {name: str(self.shared / name.lower()) for name in self.page.stays}
        command = self.page.command.replace("/shared", str(self.shared)).replace("NAME", "job")
        words = command.replace("SUITE", str(self.folder / "suite.yaml")).split()
        return subprocess.Popen(
            words, env=environment, cwd=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


@dataclass(frozen=True)
class TakenBack:
    """Ends all that runs on a machine, without a word, when it has written so many shards."""

    shards: int

    def __call__(self, process: subprocess.Popen[str]) -> None:
        until = time.monotonic() + PATIENCE
        while process.poll() is None and psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        for one in tree(process.pid):
            with suppress(ProcessLookupError):  # a child may end by itself as soon as its parent has
                os.kill(one, signal.SIGKILL)


def codes(attempts: Sequence[Ended]) -> list[int]:
    return [attempt.code for attempt in attempts]


@pytest.mark.slow
def test_a_job_whose_machines_are_taken_back_ends_as_one_that_was_left_in_peace(tmp_path: Path) -> None:
    peace, job = Service(tmp_path / "peace", SUITE), Service(tmp_path / "job", SUITE)
    assert codes(peace.runs()) == [0]
    assert len(shards(peace.run)) == CALLS
    attempts = job.runs(TakenBack(1), TakenBack(CALLS - 1))
    assert codes(attempts) == [-signal.SIGKILL, -signal.SIGKILL, 0]
    there = [attempt.shards for attempt in attempts]
    assert [len(found) for found in there] == [1, CALLS, CALLS], "in the middle of sampling, and when all is drawn"
    assert all(found.items() <= there[-1].items() for found in there), "what is there is not made again"
    assert drawn(job.run) == drawn(peace.run)
    assert (job.run / "summary.json").read_bytes() == (peace.run / "summary.json").read_bytes()


@pytest.mark.slow
def test_a_job_is_tried_again_while_the_machine_before_it_still_holds_the_folder(tmp_path: Path) -> None:
    job = Service(tmp_path, SUITE | {"prompts": PROMPTS[:1]})
    job.run.mkdir(parents=True)
    with (job.run / ".lock").open("w+") as lock:
        lock.write("evalkit run 7 on machine-before, since 2026-01-01 00:00:00 UTC")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)

        def let_go(process: subprocess.Popen[str]) -> None:
            process.wait(PATIENCE)
            fcntl.flock(lock, fcntl.LOCK_UN)

        first, last = job.runs(let_go)
    assert (first.code, last.code) == (5, 0)
    assert "evalkit run 7 on machine-before" in first.said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampling": {"n": 64, "temperature": -1}}, "sampling.temperature"),
        ({"metrics": ["distinct_m"]}, "distinct_m"),
        ({"checkpoints": {"base": {"path": "not/there/at/all", "kind": "base"}}}, "not/there/at/all"),
    ],
    ids=["a setting", "a metric", "a checkpoint"],
)
def test_a_job_whose_suite_or_checkpoint_is_at_fault_is_not_tried_again(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    job = Service(tmp_path, SUITE | changes)
    [only] = job.runs()
    assert only.code == job.page.at_fault
    assert said in only.said
    assert "Traceback" not in only.said
