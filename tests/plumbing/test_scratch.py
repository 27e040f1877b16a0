"""Scratch files go with what needs them, and those of a killed process with the next."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from evalkit.plumbing.files import cache_folder
from evalkit.plumbing.scratch import FOLDER, JUST_MADE, Scratch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder(FOLDER)


def test_a_file_goes_with_its_object(folder: Path) -> None:
    scratch = Scratch(".x")
    assert list(folder.iterdir()) == [scratch.path]
    del scratch
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_is_held_stays(folder: Path) -> None:
    held, left = Scratch(".x"), folder / "left.x"
    left.touch()
    long_ago = time.time() - 2 * JUST_MADE
    for path in (held.path, left):
        os.utime(path, (long_ago, long_ago))
    fresh = Scratch(".x")
    assert {*folder.iterdir()} == {held.path, fresh.path}
