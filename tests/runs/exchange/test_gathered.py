"""Rows on disk are measured as rows in memory are, and take no memory."""

from __future__ import annotations

import json
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import pytest

from evalkit.plumbing import by_row, piles
from evalkit.plumbing.lazily import Lazy
from evalkit.plumbing.progress import Quiet
from evalkit.records import Group
from evalkit.runs.exchange.gathered import gather
from evalkit.runs.exchange.read import read_texts
from evalkit.runs.stored_groups import prompts_of
from evalkit.score import Reading, Scored, score_files

METRICS = ["distinct_n", "length", "score/stars", "task_checks", "thinking/length"]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_row, "cores", lambda: 1)


def rows(prompts: int, samples: int) -> list[dict[str, Any]]:
    """One sample of every prompt after the other, of two arms; one arm thinks, and has one prompt less."""
    return [
        {
            "prompt_id": f"p{prompt}",
            "prompt": f"Prompt {prompt}",
            "arm": arm,
            "completion": f"{thought}word {sample % 3} of {prompt} \ud800" if sample + prompt else thought,
            "checks": ["max_words:4"],
            "scores": {"stars": sample + prompt},
        }
        for arm, thought in (("plain", ""), ("thinks", "<think>well</think>"))
        for sample in range(samples)
        for prompt in range(prompts - (arm == "thinks"))
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(5, 6)), encoding="utf-8")
    return path


@pytest.mark.parametrize("end", [None, "</think>"])
def test_rows_on_disk_are_measured_as_those_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch, end: str | None
) -> None:
    def scored() -> Scored:
        return score_files([path], METRICS, None, Quiet(), reading=Reading(thinking_end=end))

    in_memory = scored()
    monkeypatch.setattr(piles, "FEW", 7)
    monkeypatch.setattr(piles, "AT_ONCE", 3)
    on_disk = scored()
    assert isinstance(on_disk.content.groups["plain"], Lazy)
    assert on_disk.summary == in_memory.summary
    assert on_disk.page == in_memory.page
    known = {one.metric for one in on_disk.summary.estimates if one.value is not None}
    assert known >= set(METRICS)


def test_prompts_of_rows_on_disk_are_known_without_a_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "FEW", 7)
    groups = gather(read_texts([path], pytest.fail)).groups("plain", 6)
    monkeypatch.setattr(piles.ListFile, "read", pytest.fail)
    assert [prompt.id for prompt in prompts_of(groups)] == ["p0", "p1", "p2", "p3", "p4"]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "FEW", 100)
    monkeypatch.setattr(piles, "AT_ONCE", 50)
    monkeypatch.setattr(piles, "BUFFER", 1 << 12)

    def peak(prompts: int) -> int:
        path = tmp_path / f"{prompts}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(prompts, 10)), encoding="utf-8")
        tracemalloc.start()
        groups = gather(read_texts([path], pytest.fail)).groups("plain", 10)
        assert sum(len(group.completions) for group in groups) == prompts * 10
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few, many = peak(20), peak(80)
    # A row takes 2 KB in memory; of ten there is a prompt, with where its rows are.
    assert (many - few) / (60 * 2 * 10) < 250


def test_few_groups_are_there_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "FEW", 7)
    groups = gather(read_texts([path], pytest.fail)).groups("plain", 6)
    seen: list[weakref.ref[Group]] = []
    for group in groups:
        seen.append(weakref.ref(group))
        assert sum(one() is not None for one in seen) <= 2
