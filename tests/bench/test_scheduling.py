"""What a call costs the process that keeps the folder, whatever else runs on the machine."""

from __future__ import annotations

from pathlib import Path

from bench.scheduling import measure
from evalkit.runs.folder import open_store


def test_a_call_of_a_thousand_completions_takes_a_few_milliseconds_of_the_processor(tmp_path: Path) -> None:
    with open_store(tmp_path, print) as store:
        measured = measure(64, 256, 0.0, store)
    # 256 workers with calls of 5 s are busy 95 % of the time on one core at 4 ms a call; it takes about one.
    assert measured.processor / 256 < 0.004
    assert len(list((tmp_path / "completions").iterdir())) == 256
