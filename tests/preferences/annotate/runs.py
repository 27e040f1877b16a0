"""A small run's pairs, made by hand: two arms against a base, with some equal texts among them."""

from __future__ import annotations

from evalkit.preferences.annotate.run_pairs import RunPairs
from evalkit.records import Completion, Group, Prompt


def run_pairs(n: int = 3, prompts: int = 4) -> RunPairs:
    """Arms `best` and `other` against `base`. Draws have indices 0, 2, 4 ... of the run's; draw 0 of all is equal."""

    def groups(arm: str) -> list[Group]:
        return [
            Group(Prompt(f"p{place}", f"Say {place}."), tuple(completion(arm, place, draw) for draw in range(n)))
            for place in range(prompts)
        ]

    def completion(arm: str, place: int, draw: int) -> Completion:
        text = f"{arm} {place} {draw}" if draw else "the same"
        return Completion(f"p{place}", 2 * draw, f" {text}\n", (), (), "stop")

    return RunPairs({arm: groups(arm) for arm in ("base", "best", "other")}, {"best": "base", "other": "base"})
