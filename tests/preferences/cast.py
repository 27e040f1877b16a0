"""Votes and runs that tests of win rates share."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.preferences.annotation import Annotation, Choice, Comparison, Side
from evalkit.preferences.pairs import Pair
from evalkit.records import Completion, Group, Groups, Prompt


def vote(
    prompt: str, choice: Choice, rater: str = "r", *, group: str = "g", arms: tuple[str, str] | None = ("tuned", "base"),
    drawn: tuple[int, int] | None = (0, 0), probability: float = 1.0, first: Side = "a", a: str = "one", b: str = "two",
) -> Annotation:  # fmt: skip
    pair = Pair(Prompt(prompt, f"Say {prompt}."), a, b)
    return Annotation(
        Comparison(pair, arms, drawn, probability), rater, group, choice, first, 3.0, "2026-01-02T03:04:05Z"
    )


def group(prompt: str, texts: Sequence[str]) -> Group:
    completions = [Completion(prompt, index, text, (), (), "stop") for index, text in enumerate(texts)]
    return Group(Prompt(prompt, f"Say {prompt}."), tuple(completions))


def run(prompts: int, completions: int) -> Groups:
    """A base and a tuned arm, no two texts alike; a tuned answer is the longer, the later it was drawn."""
    return {
        arm: [
            group(
                f"p{at}", [f"{arm} {at} {index}" + " more" * index * (arm == "tuned") for index in range(completions)]
            )
            for at in range(prompts)
        ]
        for arm in ("base", "tuned")
    }
