"""A run that waits for a batch is killed at every step, for real, and the same command goes on: nothing is asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from tests.batches_served import BatchingServer
from tests.batches_served import batching as batching

SUITE = """\
name: queued
checkpoints:
  base: {{path: "{url}", kind: tuned, model: m, batch: true}}
  tuned: {{path: "{url}", kind: tuned, model: m, batch: true, system: "Be brief."}}
sampling: {{n: 3, max_tokens: 8, temperature: [1.0, 0.5]}}
metrics: [length]
prompts:
  - {{id: one, text: "Name a colour."}}
  - {{id: two, text: "Name a tree."}}
"""


def begun(folder: Path, out: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "evalkit",
        "run",
        str(folder / "suite.yaml"),
        "--out",
        str(folder / out),
        "--quiet",
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(folder: Path, out: str) -> str:
    with begun(folder, out) as process:
        _, told = process.communicate(timeout=100)
    assert process.returncode == 0, told
    return told


def ended_at(server: BatchingServer, folder: Path, moment: str, how: signal.Signals) -> str:
    """A run that is ended when the server has done what `moment` asks for, before it answers; what it told."""
    reached: list[str] = []
    with begun(folder, "run") as process:

        def end(request: str) -> None:
            if request.startswith(moment) and not reached:
                reached.append(request)
                process.send_signal(how)
                process.wait(60)

        server.before_answer = end
        _, told = process.communicate(timeout=100)
    server.before_answer = lambda request: None
    assert reached
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130), told
    return told


@pytest.mark.slow
def test_a_run_killed_at_any_moment_submits_nothing_twice(batching: BatchingServer, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.format(url=batching.url))
    ended_at(batching, tmp_path, "POST /files", signal.SIGKILL)
    assert len(batching.batches) == 0
    ended_at(batching, tmp_path, "POST /batches", signal.SIGKILL)
    assert len(batching.batches) == 1
    assert [row.get("id") for row in asked(tmp_path)] == [None], "nobody wrote down that it was created"
    batching.hold = True
    told = ended_at(batching, tmp_path, "GET /batches/", signal.SIGINT)
    assert len(batching.batches) == 2, "the second checkpoint's is submitted before the first one's is waited for"
    assert "interrupted; what was sampled is kept" in told
    batching.hold = False
    ended_at(batching, tmp_path, "GET /files/", signal.SIGKILL)
    finished(tmp_path, "run")
    assert len(batching.batches) == 2
    assert [row["ended"] for row in asked(tmp_path)] == ["completed"] * 2
    names = [row["custom_id"] for requests in batching.requests() for row in requests]
    assert len(set(names)) == len(names) == 2 * 2 * 2, "checkpoints x temperatures x prompts, each once"
    said = [
        row for path in (tmp_path / "run" / "completions").glob("*.parquet") for row in read_table(path).to_pylist()
    ]
    prompts = {"one": "Name a colour.", "two": "Name a tree."}
    assert len(said) == 2 * 2 * 2 * 3
    assert all(row["text"].startswith(prompts[row["prompt_id"]]) for row in said)
    assert all(row["text"].endswith(f"/ {row['slot']}") for row in said)
    assert len({row["text"] for row in said}) == len(said), "each draw is another, by the seed that its request had"


def asked(folder: Path) -> list[dict[str, str]]:
    ledger = json.loads((folder / "run" / "batches" / "ledger.json").read_text())
    batches: list[dict[str, str]] = ledger["batches"]
    return batches
