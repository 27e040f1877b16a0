"""A tracker that cannot be used is named before the work; one that fails after it costs a line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evalkit.errors import InputError, TrackerError
from evalkit.report.trackers import NAMES, Record, open_trackers, send
from evalkit.report.trackers.send import Note
from tests.report.trackers.told import training_told


class Good:
    name = "good"

    def __init__(self) -> None:
        self.heard: list[str] = []

    def check(self) -> None:
        pass

    def log(self, record: Record, note: Note) -> str:
        print("a word of the library's own")
        self.heard.append(record.name)
        return "there"


class Bad(Good):
    name = "bad"

    def log(self, record: Record, note: Note) -> str:
        raise ConnectionError("no\nnetwork")


@pytest.mark.parametrize("name", NAMES)
def test_a_package_that_is_missing_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"evalkit.report.trackers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as found:
        open_trackers([name], None)
    assert str(found.value) == (
        f"the tracker {name} needs the package {name}; install it with: pip install 'evalkit[{name}]'"
    )


def test_a_tracker_that_cannot_be_used_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "file"))
    with pytest.raises(TrackerError, match=r"tensorboard cannot be used: .*File exists"):
        open_trackers(["tensorboard"], None)


def test_one_that_fails_is_a_line_that_says_what_to_do_and_the_others_are_told() -> None:
    good, told = Good(), list[str]()
    [failed] = send([Bad(), good], training_told(Path("trained/ppo")), told.append)
    assert str(failed) == "ppo-beta-0.1 is not logged to bad: no network"
    assert told == [f"{failed}; nothing is lost: evalkit log trained/ppo --to bad", "logged to good: there"]
    assert good.heard == ["ppo-beta-0.1"]


def test_what_a_library_prints_does_not_spoil_the_commands_own_result(capsys: pytest.CaptureFixture[str]) -> None:
    send([Good()], training_told(Path("x")), lambda _: None)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a word of the library's own" in captured.err
