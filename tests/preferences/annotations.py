"""Annotations that tests share: raters of two groups whose values are stated, and those who do not look."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

from evalkit.preferences.annotation import SWAPPED, Annotation, Choice, Comparison, Side
from evalkit.preferences.pairs import Pair
from evalkit.records import Prompt

Answer = Callable[[float, Side, random.Random], Choice]
"""How a rater answers: from how much better `a` is, and which one stands on the left."""


def honest(sign: float = 1.0, ties: float = 0.0) -> Answer:
    def answer(gap: float, _: Side, rng: random.Random) -> Choice:
        if rng.random() < ties:
            return "tie"
        return "a" if rng.random() < 1 / (1 + math.exp(-sign * gap)) else "b"

    return answer


def at_random(_: float, __: Side, rng: random.Random) -> Choice:
    return rng.choice(("a", "b"))


def always_left(_: float, left: Side, __: random.Random) -> Choice:
    return left


def always_a_tie(_: float, __: Side, ___: random.Random) -> Choice:
    return "tie"


def labelled(
    raters: Mapping[tuple[str, str], Answer],
    pairs: int,
    repeats: float = 0.1,
    seconds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[Annotation]:
    """Every rater, (group, name), answers every pair, some of them once more with the sides swapped."""
    rng = random.Random(seed)
    found = []
    for number in range(pairs):
        pair = Pair(Prompt(f"p{number % 10}", f"Say {number % 10}."), f"one {number} " * 6, f"two {number} " * 6)
        gap = rng.gauss(0, 2.5)
        for (group, rater), answer in raters.items():
            left: Side = rng.choice(("a", "b"))
            for is_repeat in (False, True)[: 1 + (rng.random() < repeats)]:
                shown = SWAPPED[left] if is_repeat else left
                side: Side = "a" if shown == "a" else "b"
                time = round((seconds or {}).get(rater, 8.0) * math.exp(rng.gauss(0, 0.3)), 3)
                choice = answer(gap, side, rng)
                found.append(Annotation(Comparison(pair), rater, group, choice, side, time, "", is_repeat=is_repeat))
    return found
