"""Groups of completions for the tests of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalkit.records import Completion, Group, Prompt


def group_of(texts: Sequence[str]) -> Group:
    return Group(
        Prompt("p", "?"), tuple(Completion("p", slot, text, (), (), "stop") for slot, text in enumerate(texts))
    )


def embedded(rows: np.ndarray) -> Group:
    """A group whose completions have these embeddings, made length 1 and float32 as an encoder gives them."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True) if rows.size else rows
    group = group_of([""] * len(rows))
    return Group(group.prompt, group.completions, unit.astype(np.float32))


def classed(classes: Sequence[int], quality: Sequence[float] | None = None) -> Group:
    """A group whose long texts fall into these classes of meaning: one axis a class, at right angles to all others."""
    group = group_of([f"{slot} is a text of more than five words" for slot in range(len(classes))])
    rows = np.eye(max(classes, default=0) + 1, dtype=np.float32)[list(classes)]
    return replace(group, embeddings=rows, quality=None if quality is None else np.array(quality))


def surprised(*logprobs: Sequence[float]) -> Group:
    """A group whose completions have these log-probs of their tokens."""
    completions = (
        Completion("p", slot, "", tuple(range(len(row))), tuple(row), "stop") for slot, row in enumerate(logprobs)
    )
    return Group(Prompt("p", "?"), tuple(completions))
