"""Scratch files go with what needs them, and those of a killed process with the next."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from evalkit.plumbing.files import cache_folder
from evalkit.plumbing.scratch import FOLDER, Scratch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder(FOLDER)


def test_a_file_goes_with_its_object(folder: Path) -> None:
    scratch = Scratch(".x")
    assert list(folder.iterdir()) == [scratch.path]
    del scratch
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("days", [-400, 0, 400])
def test_what_a_killed_process_left_is_swept_and_what_is_held_stays_whatever_the_clock_says(
    folder: Path, days: int
) -> None:
    held, left = Scratch(".x"), folder / "left.x"
    left.touch()
    then = time.time() + days * 86_400
    for path in (held.path, left):
        os.utime(path, (then, then))
    fresh = Scratch(".x")
    assert {*folder.iterdir()} == {held.path, fresh.path}


def test_a_file_that_is_swept_before_it_is_locked_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []

    def sweep_first(handle: int, how: int) -> None:
        if not swept:
            swept.extend(folder.iterdir())
            swept[0].unlink()
        flock(handle, how)

    flock = fcntl.flock
    monkeypatch.setattr("evalkit.plumbing.scratch.fcntl.flock", sweep_first)
    scratch = Scratch(".x")
    assert scratch.path.exists()
    assert scratch.path != swept[0]
