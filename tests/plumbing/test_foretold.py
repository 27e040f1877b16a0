"""What is left of all stages is known to whoever ran the like before, by the completion."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.plumbing.foretold import Foretold
from evalkit.plumbing.progress import JsonLines

SECONDS = {"load": 3.0, "sample": 4.0, "measure": 2.0, "write": 1.0}
"""A completion."""
Run = Callable[..., list[dict[str, float]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs some stages on so many completions by a clock of the test; what was told."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    clock = [0.0]
    monkeypatch.setattr("evalkit.plumbing.progress.time.monotonic", lambda: clock[0])

    def stages(size: int, names: list[str], is_anew: bool = False) -> list[dict[str, float]]:
        stream = io.StringIO()
        tell = Foretold(JsonLines(stream), {"measures": ["length"]}, size)
        for name in names:
            tell.stage(name, size)
            for _ in range(size):
                clock[0] += SECONDS[name]
                tell.advance(1)
        tell.remember(is_anew)
        tell.close()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    return stages


def test_the_first_time_nobody_knows_what_follows(run: Run) -> None:
    assert not any("seconds_left_of_all" in event for event in run(8, ["sample", "measure", "write"]))


def test_a_larger_run_is_foretold_by_a_small_one(run: Run) -> None:
    run(3, ["sample", "measure", "write"])
    told = [event for event in run(20, ["sample", "measure", "write"]) if "seconds_left" in event]
    first = next(event for event in told if event["stage"] == "sample")
    assert first["seconds_left_of_all"] == pytest.approx(19 * 4 + 20 * 2 + 20 * 1)
    last = [event for event in told if event["stage"] == "write"][-1]
    assert last["seconds_left_of_all"] == last["seconds_left"]


def test_what_was_not_needed_once_is_still_known_after(run: Run) -> None:
    run(3, ["load", "sample", "measure", "write"])
    from_cache = [event for event in run(3, ["measure", "write"]) if "seconds_left" in event]
    assert from_cache[0]["seconds_left_of_all"] == pytest.approx(2 * 2 + 3 * 1)
    again = [event for event in run(3, ["load", "sample", "measure", "write"]) if event["stage"] == "sample"]
    assert again[1]["seconds_left_of_all"] == pytest.approx(2 * 4 + 3 * 2 + 3 * 1)


def test_what_a_run_did_without_though_all_was_drawn_anew_is_not_awaited_again(run: Run) -> None:
    """What a checkpoint reads of prompts alone is read once, and may take longer than all else."""
    run(3, ["sample", "load", "measure", "write"], is_anew=True)
    run(3, ["sample", "measure", "write"], is_anew=True)
    again = [event for event in run(3, ["sample", "measure", "write"]) if event["stage"] == "sample"]
    assert again[1]["seconds_left_of_all"] == pytest.approx(2 * 4 + 3 * 2 + 3 * 1)


def test_a_stage_that_nobody_has_seen_foretells_nothing(run: Run) -> None:
    run(3, ["sample", "write"])
    told = run(3, ["sample", "measure", "write"])
    assert not any("seconds_left_of_all" in event for event in told if event["stage"] == "measure")
    after = [event for event in run(3, ["sample", "measure", "write"]) if event["stage"] == "measure"]
    assert after[1]["seconds_left_of_all"] == pytest.approx(2 * 2 + 3 * 1)


def test_a_damaged_memory_is_none(run: Run, tmp_path: Path) -> None:
    run(3, ["sample", "write"])
    [path] = (tmp_path / "evalkit" / "speeds").iterdir()
    path.write_text('{"sample": "long"}')
    assert not any("seconds_left_of_all" in event for event in run(3, ["sample", "write"]))
