"""Groups of completions drawn from laws that the tests know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.analysis.comparison.cross_prompt import pooled_values
from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm, Completion, Group, Groups, Prompt, Sampling


def group(texts: Sequence[str], prompt: str = "p", rows: np.ndarray | None = None) -> Group:
    made = (Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    return Group(Prompt(prompt, "?"), tuple(made), rows)


def arm(name: str, checkpoint: str = "", temperature: float = 1.0, baseline: str | None = None) -> Arm:
    sampling = Sampling(n=2, temperature=temperature, top_p=1.0, min_p=0.0, max_tokens=9, stop=(), seed=0)
    return Arm(name, checkpoint or name, "base", sampling, baseline)


def texts(rng: np.random.Generator, prompts: int, samples: int, words: int = 4, vocabulary: int = 30) -> list[Group]:
    """Every completion is so many words, drawn evenly."""
    drawn = rng.integers(0, vocabulary, size=(prompts, samples, words))
    return [group([" ".join(f"w{word}" for word in row) for row in rows], f"p{i}") for i, rows in enumerate(drawn)]


def cross_prompt_values(measure: Measure, groups: Groups) -> dict[str, Array]:
    """One measure's values across prompts."""
    return pooled_values([measure], groups)[measure]
