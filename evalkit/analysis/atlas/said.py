"""The different texts of a run, and who says them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.embeddings.encoder import Floats
from evalkit.records import Group, Groups

Places = NDArray[np.int64]
MOST_DIMENSIONS = 1024
"""Longer rows are projected to so many: 200 000 of them are 0.8 GB."""


@dataclass(frozen=True)
class Said:
    """U different texts, and P points: each says which arm gave a text to which prompt, and how often."""

    texts: tuple[str, ...]
    rows: Floats
    """(U, d)"""
    arms: tuple[str, ...]
    prompts: tuple[str, ...]
    text: Places
    """(P,) from here on: which text, arm and prompt."""
    arm: Places
    prompt: Places
    rank: Places
    """The text's place, from 0, among the arm's texts on this prompt by count (`Counter.most_common`)."""
    count: Places


def gather(groups: Groups) -> Said | None:
    """All that is embedded; None where nothing is."""
    embedded = {arm: [group for group in of_arm if _is_embedded(group)] for arm, of_arm in groups.items()}
    prompts = {group.prompt.id: None for of_arm in embedded.values() for group in of_arm}
    of_prompt = {prompt: place for place, prompt in enumerate(prompts)}
    known: dict[str, int] = {}
    points: list[tuple[int, int, int, int, int]] = []
    rows = _room(embedded)
    for arm, of_arm in enumerate(embedded.values()):
        for group in of_arm:
            for rank, (text, count) in enumerate(Counter(group.texts).most_common()):
                if text not in known:
                    known[text] = len(known)
                points.append((known[text], arm, of_prompt[group.prompt.id], rank, count))
            _fill(rows, group, known)
    if not known:
        return None
    columns = np.array(points, dtype=np.int64).T
    return Said(tuple(known), _narrowed(rows[: len(known)]), tuple(embedded), tuple(prompts), *columns)


def _is_embedded(group: Group) -> bool:
    return group.embeddings is not None and bool(group.completions)


def _room(embedded: Groups) -> Floats:
    """As many rows as there can be different texts; the system gives memory to those alone that are filled."""
    every = [group for of_arm in embedded.values() for group in of_arm]
    dimensions = {group.embeddings.shape[1] for group in every if group.embeddings is not None}
    return np.empty((sum(len(set(group.texts)) for group in every), max(dimensions, default=0)), dtype=np.float32)


def _fill(rows: Floats, group: Group, known: dict[str, int]) -> None:
    """Rows of equal texts are equal to the bit, so that it is all one which of them is kept."""
    assert group.embeddings is not None
    rows[[known[text] for text in group.texts]] = group.embeddings


def _narrowed(rows: Floats) -> Floats:
    """Distances stay what they were to a few hundredths (Johnson and Lindenstrauss 1984)."""
    d = rows.shape[1]
    if d <= MOST_DIMENSIONS:
        return rows
    directions = np.random.default_rng(0).normal(size=(d, MOST_DIMENSIONS)) / np.sqrt(MOST_DIMENSIONS)
    return np.asarray(rows @ directions.astype(np.float32))
