"""`suite check` looks at what a suite names on this machine, and says what it cannot look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main

Write = Callable[..., Path]


def checked(path: Path) -> Result:
    return CliRunner().invoke(main, ["suite", "check", str(path)], catch_exceptions=False)


def test_a_suite_whose_folders_are_there_is_all_right(write_suite: Write, make_folder: Callable[..., Path]) -> None:
    folder = make_folder("tuned")
    result = checked(write_suite(("lab:tuned", str(folder)), ("distinct_n, length", "{reward: {model: lab:reward}}")))
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("place", ["./nowhere", "/no/such/folder", "nowhere", "lab:nothing"])
def test_a_missing_folder_is_told_with_its_line(write_suite: Write, place: str) -> None:
    path = write_suite(("lab:tuned", place))
    result = checked(path)
    assert result.exit_code == 2
    assert f"{path}:4: checkpoints.tuned.path: " in result.output
    assert place in result.output


def test_every_fault_is_told(write_suite: Write, make_folder: Callable[..., Path]) -> None:
    folder = make_folder("broken")
    (folder / "model.safetensors").write_bytes(b"cut")
    path = write_suite(("lab:tuned", str(folder)), ("[distinct_n, length]", "[distinct_n, {reward: {model: ./rm}}]"))
    result = checked(path)
    assert result.exit_code == 2
    assert "checkpoints.tuned.path: " in result.output
    assert "is damaged or cut short" in result.output
    assert "metrics.1: there is no folder './rm'" in result.output


def test_what_only_a_run_can_find_out_is_noted(write_suite: Write) -> None:
    """A folder that is not there may be meant as a hub id: the check fetches nothing, and says so."""
    result = checked(write_suite(("lab:base", "trained/tuned"), ("lab:tuned", "http://127.0.0.1:9/v1")))
    assert result.exit_code == 0
    assert "there is no folder trained/tuned here, so a run looks for it on the Hugging Face hub" in result.stderr
    assert "http://127.0.0.1:9/v1 is a server, which only a run asks" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[distinct_n, length]", "[distinct_n, {reward: {model: lab:base}}]", "metrics.1: lab:base cannot give rewards: it is a Llama"),
        ("[distinct_n, length]", "[distinct_n, {nli_diversity: {model: lab:reward}}]", "metrics.1: lab:reward cannot judge pairs: its labels"),
        ("metrics:", "quality: {reward: {model: lab:base}}\nmetrics:", "quality: lab:base cannot give rewards"),
        ("kind: tuned}", "kind: tuned, best_of: {n: 2, reward: lab:base}}", "best_of.reward: lab:base cannot give rewards"),
        ("[distinct_n, length]", "[distinct_n, {reward: {model: .}}]", "has no config.json"),
        ("lab:tuned", "http://", "'http://' is not the URL of a server; one looks like http://host:port/v1"),
        ("lab:tuned", "localhost:8000/v1", "'localhost:8000/v1' is not the URL of a server"),
    ],
    ids=["reward", "nli", "quality", "best of", "an empty folder", "no host", "no scheme"],
)  # fmt: skip
def test_what_is_there_but_of_another_kind_is_told_with_its_line(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, told: str
) -> None:
    path = write_suite(("lab:tuned", "lab:ppo-1"), (old.replace("lab:tuned", "lab:ppo-1"), new))
    monkeypatch.chdir(tmp_path)
    result = checked(path)
    assert result.exit_code == 2
    assert f"{path}:" in result.output
    assert told in result.output
