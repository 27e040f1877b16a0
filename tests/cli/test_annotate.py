"""`evalkit annotate` as a command: how it begins, what it refuses, and how it ends and goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from evalkit.cli.annotate import annotate
from evalkit.preferences.annotate.store import read_store
from tests import ROOT
from tests.preferences.annotate.served import Rater


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt_id": f"p{i}", "prompt": f"Say {i}.", "completions": ["x", "y"]} for i in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@contextmanager
def running(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command at work, and the links that it printed."""
    command = [sys.executable, "-m", "evalkit", "annotate", *words, "--port", "0"]
    known = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=known) as process:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        try:
            yield process, re.findall(r"http\S+", "".join(lines))
        finally:
            process.kill()


def test_ctrl_c_says_where_the_answers_are_and_the_same_command_goes_on(pairs: Path) -> None:
    for answered in (2, 4):
        with running(str(pairs), "--group", "readers") as (process, [link]), httpx.Client(base_url=link) as client:
            ann = Rater(client, "ann")
            ann.enter()
            ann.answer()
            ann.answer()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert process.stderr is not None
            file = pairs.with_name("pairs.annotations.sqlite")
            told = f"evalkit: ended; {answered} answers of readers in {file}; the same command goes on"
            assert process.stderr.read().strip() == told
        assert len({one.comparison.id for one in read_store(file)}) == answered


def test_each_rater_s_link_lets_them_in_where_there_is_a_token(pairs: Path) -> None:
    words = [str(pairs), "--group", "readers", "--rater", "ann", "--rater", "ben"]
    with running(*words, EVALKIT_ANNOTATE_TOKEN="0123456789abcdef") as (_, links):
        assert len(links) == 2
        place, key = links[0].split("/#rater=ann&key=")
        with httpx.Client(base_url=place) as client:
            assert Rater(client, "ann", key).enter()["pair"]
            assert Rater(client, "ben", key).post("enter").status_code == 401


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["none.jsonl", "--group", "g"], 2, "there is no file none.jsonl"),
        (["empty", "--group", "g"], 2, "empty has no run.json"),
        (["bad.jsonl", "--group", "g"], 2, "bad.jsonl:1: completions"),
        (["pairs.jsonl"], 2, "Missing option '--group'"),
        (["pairs.jsonl", "--group", " "], 2, "--group ' ': a name has 1 to 60 characters"),
        (["pairs.jsonl", "--group", "x" * 61], 2, "a name has 1 to 60 characters"),
        (["pairs.jsonl", "--group", "two\nlines"], 2, "no control characters"),
        (["pairs.jsonl", "--group", "\udcff"], 2, "valid UTF-8"),
        (["pairs.jsonl", "--group", "g", "--host", "0.0.0.0"], 2, "takes a secret"),
        (["pairs.jsonl", "--group", "g", "--instructions", "none.md"], 2, "there is no file none.md"),
        (["pairs.jsonl", "--group", "g", "--gold", "none.jsonl"], 2, "there is no file none.jsonl"),
        (["pairs.jsonl", "--group", "g", "--warn-at", "9"], 2, "--warn-at is above --stop-at"),
        (["pairs.jsonl", "--group", "g", "--repeats", "2"], 2, "--repeats"),
        (["taken.jsonl", "--group", "g"], 2, "taken.annotations.sqlite is no file of answers"),
        (["pairs.jsonl", "--group", "", "--port", "0"], 2, "--group"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(
    words: list[str], code: int, why: str, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pairs.parent)
    Path("empty").mkdir()
    Path("bad.jsonl").write_text('{"prompt_id": "a", "prompt": "b", "completions": ["c"]}\n', encoding="utf-8")
    Path("taken.jsonl").write_bytes(pairs.read_bytes())
    Path("taken.annotations.sqlite").write_text("no database, but a text of some length", encoding="utf-8")
    before = sorted(Path().iterdir())
    told = CliRunner().invoke(annotate, words)
    assert told.exit_code == code, told.output
    assert why in told.output
    assert "Traceback" not in told.output
    assert sorted(Path().iterdir()) == before


def test_the_server_loads_neither_torch_nor_transformers() -> None:
    command = (
        "import sys, evalkit.preferences.annotate.task, evalkit.preferences.annotate.serve, evalkit.cli.annotate\n"
        "print([name for name in ('torch', 'transformers', 'vllm', 'pandas', 'sklearn') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "[]"


def test_a_missing_package_is_named_with_its_extra(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "uvicorn" else found(name))
    told = CliRunner().invoke(annotate, [str(pairs), "--group", "g"])
    assert told.exit_code == 2
    assert "evalkit: the page needs uvicorn; install it with: pip install 'evalkit[annotate]'" in told.output
