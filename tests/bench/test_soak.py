"""A short soak: engines and drivers are killed at random, and nothing is lost or counted twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.soak import PROMPTS, N, draws_in, drive, soak


@pytest.mark.slow
def test_what_is_killed_at_random_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alone", "soaked"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "alone" / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    drive(tmp_path / "alone", 0.0)
    killed = soak(tmp_path / "soaked", 4, random.Random(1))
    assert killed.total() == 4
    summaries = [(tmp_path / name / "run" / "summary.json").read_bytes() for name in ("alone", "soaked")]
    assert summaries[0] == summaries[1]
    draws = draws_in(tmp_path / "soaked" / "run")
    assert len(draws) == draws.total() == PROMPTS * N
