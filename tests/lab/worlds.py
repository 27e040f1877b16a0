"""Random prompts, small enough to list every text of theirs."""

from __future__ import annotations

import itertools
import math

from hypothesis import strategies as st

from evalkit.lab.grammar import VOICES, Branch, Prompt, Slot


def texts(branch: Branch) -> list[str]:
    """Every text of a branch, by brute force."""
    options = [part.options if isinstance(part, Slot) else (part,) for part in branch.parts]
    return ["".join(fill) for fill in itertools.product(*options)]


def distributions(size: int) -> st.SearchStrategy[tuple[float, ...]]:
    weights = st.lists(st.floats(0.05, 1), min_size=size, max_size=size)
    return weights.map(lambda found: tuple(weight / math.fsum(found) for weight in found))


@st.composite
def small_prompts(draw: st.DrawFn) -> Prompt:
    """Up to four branches of up to two slots; each branch opens with its number, so that no text has two readings."""
    shares = draw(st.integers(1, 4).flatmap(distributions))
    branches = []
    for index, share in enumerate(shares):
        sizes = draw(st.lists(st.integers(2, 3), max_size=2))
        slots = [
            Slot(tuple(f" {place}{option}" for option in "abc"[:size]), draw(distributions(size)))
            for place, size in enumerate(sizes)
        ]
        branches.append(Branch(draw(st.sampled_from(VOICES)), share, draw(st.booleans()), (f"{index}:", *slots, ".")))
    return Prompt("small", draw(st.sampled_from(["fact", "riddle"])), "small", "What?", tuple(branches), "x", "x")
