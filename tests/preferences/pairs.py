"""Pairs and rater groups that tests of preferences share."""

from __future__ import annotations

from typing import Any

from evalkit.plumbing.progress import Quiet
from evalkit.preferences.pairs import Pair
from evalkit.records import Prompt
from evalkit.training.raters.config import PrefsSimulateConfig


class Notes(Quiet):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def config(groups: dict[str, dict[str, Any]], **changes: Any) -> PrefsSimulateConfig:
    stated = {name: {"values": {"utility": {"words": 1}}} | group for name, group in groups.items()}
    return PrefsSimulateConfig.model_validate({"name": "x", "pairs": "p.jsonl", "groups": stated} | changes)


def many(count: int, a: str = "a", b: str = "b") -> list[Pair]:
    return [Pair(Prompt(f"p{number}", "Say."), a, b) for number in range(count)]
