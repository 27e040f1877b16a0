"""A closer look at the few phrases that moved: how each reads, and how often each arm says it on each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.words.coding import Codes, Places
from evalkit.analysis.words.occurring import in_portions, texts_of
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener
from evalkit.records import Groups


@dataclass(frozen=True)
class Closeup:
    """T phrases on P prompts."""

    codes: Codes
    """(T,) in order."""
    phrases: tuple[str, ...]
    """(T,)"""
    counts: Mapping[str, NDArray[np.int32]]
    """Arm -> (P, T) how often it says each on each prompt."""
    words: Mapping[str, Array]
    """Arm -> (P,) its words and signs on each prompt."""

    def place(self, code: int) -> int:
        return int(np.searchsorted(self.codes, np.uint64(code)))


def look_closely(codes: Codes, groups: Groups, units: Sequence[Sequence[int]], tell: Listener) -> Closeup:
    """How these phrases (codes in order) read, and how often each arm says them on each prompt."""
    prompts = sum(map(len, units))
    counts = {arm: np.zeros((prompts, len(codes)), dtype=np.int32) for arm in groups}
    words = {arm: np.zeros(prompts) for arm in groups}
    phrases = [""] * len(codes)
    for _, results in in_portions(_Looking(codes), groups, units, tell):
        for row, by_arm in results.items():
            for arm, seen in by_arm.items():
                counts[arm][row, seen.places] = seen.counts
                words[arm][row] = seen.words
                for place, phrase in zip(seen.places, seen.phrases, strict=True):
                    phrases[place] = phrase
    return Closeup(codes, tuple(phrases), counts, words)


@dataclass(frozen=True, slots=True)
class _Seen:
    places: Places
    counts: Places
    phrases: tuple[str, ...]
    words: int


@dataclass(frozen=True)
class _Looking:
    codes: Codes

    def __call__(self, row: int, items: Mapping[str, Any]) -> dict[str, _Seen]:
        return {arm: self._seen(group) for arm, group in items["groups"].items()}

    def _seen(self, group: Any) -> _Seen:
        texts = texts_of(group)
        found: dict[int, tuple[int, str]] = {}
        for n, codes, starts in texts.every_phrase():
            at = np.minimum(np.searchsorted(self.codes, codes), max(0, len(self.codes) - 1))
            hits = np.flatnonzero(self.codes[at] == codes) if len(self.codes) else np.empty(0, dtype=np.int64)
            places, firsts, counts = np.unique(at[hits], return_index=True, return_counts=True)
            for place, first, count in zip(places, firsts, counts, strict=True):
                found[int(place)] = int(count), texts.phrase_at(int(starts[hits[first]]), n)
        return _Seen(
            np.array(list(found), dtype=np.int64),
            np.array([count for count, _ in found.values()], dtype=np.int64),
            tuple(phrase for _, phrase in found.values()),
            len(texts),
        )
