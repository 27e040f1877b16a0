"""A short soak: engines and drivers are killed at random, and nothing is lost or counted twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.soak import N, calls_of, draws_in, drive, soak

PROMPTS = 96


@pytest.mark.slow
def test_what_is_killed_at_random_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alone", "soaked"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "alone" / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    drive(tmp_path / "alone", PROMPTS, 0.0)
    killed = soak(tmp_path / "soaked", PROMPTS, 4, random.Random(1))
    assert 0 < killed.total() <= 4
    alone, soaked = tmp_path / "alone" / "run", tmp_path / "soaked" / "run"
    draws = draws_in(soaked)
    assert len(draws) == draws.total() == PROMPTS * N
    # Chance may kill two engines in one call, which is then cut, as one that kills engines would be.
    if calls_of(soaked) == calls_of(alone):
        assert (soaked / "summary.json").read_bytes() == (alone / "summary.json").read_bytes()
