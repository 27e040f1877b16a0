"""The sums that tests of words are made of, added up prompt by prompt: for each phrase some numbers, whatever P is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalkit.analysis.words.coding import Codes, Places
from evalkit.analysis.words.log_odds import at_equal_lengths, words_at_equal_lengths
from evalkit.analysis.words.occurring import Frequent, in_portions, texts_of
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener
from evalkit.records import Groups

SUMS = ("own", "other", "squares", "moved", "own_prompts", "other_prompts", "prompts")
_NOTHING = 1e-9
"""An excess below it is rounding."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One arm's phrases on one prompt."""

    codes: Codes
    """(v,) in order."""
    counts: Places
    """(v,)"""
    words: int
    """All of its words and signs."""


@dataclass
class Tally:
    """Sums over prompts for one arm beside its baseline."""

    codes: Codes = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    """(V,) in order."""
    table: Array = field(default_factory=lambda: np.empty((len(SUMS), 0)))
    """(len(SUMS), V)"""
    words: float = 0.0
    """Of either, at equal lengths."""
    prompts: int = 0
    """On which both have words."""

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self.table[SUMS.index(name)])

    def add(self, units: Sequence[tuple[Codes, Array]]) -> None:
        """Add some units' sums, (v,) codes with (len(SUMS), v) each."""
        codes = np.concatenate([self.codes, *(codes for codes, _ in units)])
        table = np.concatenate([self.table, *(sums for _, sums in units)], axis=1)
        self.codes, self.table = summed(codes, table)

    def only(self, kept: Places) -> Tally:
        return Tally(self.codes[kept], self.table[:, kept], self.words, self.prompts)


def summed(codes: Codes, table: Array) -> tuple[Codes, Array]:
    """The codes once each, in order, with the sums of the columns of each."""
    known, place = np.unique(codes, return_inverse=True)
    return known, np.stack([np.bincount(place, row, minlength=len(known)) for row in table])


def tally(
    pairs: Sequence[tuple[str, str]],
    groups: Groups,
    units: Sequence[Sequence[int]],
    frequent: Frequent,
    tell: Listener,
) -> dict[tuple[str, str], Tally]:
    """(arm, baseline) -> the sums of all phrases that occur on enough prompts under either of them."""
    tallies = {pair: Tally() for pair in pairs}
    for portion, results in in_portions(_Counting(frequent), groups, units, tell):
        for (arm, baseline), sums in tallies.items():
            added = []
            for unit in portion:
                both = [(results[row].get(arm), results[row].get(baseline)) for row in unit]
                known = [(own, other) for own, other in both if own and other and own.words and other.words]
                if known:
                    added.append(of_unit(known))
                    sums.words += sum(float(_equal_words(own, other)) for own, other in known)
                    sums.prompts += len(known)
            if added:
                sums.add(added)
    least = frequent.least_prompts
    return {pair: sums.only(np.flatnonzero(sums["prompts"] >= least)) for pair, sums in tallies.items()}


def of_unit(prompts: Sequence[tuple[Counted, Counted]]) -> tuple[Codes, Array]:
    """The sums of the prompts of one unit of resampling, each (own, other)."""
    parts = [_of_prompt(own, other) for own, other in prompts]
    codes, table = summed(np.concatenate([codes for codes, _ in parts]), np.concatenate([t for _, t in parts], axis=1))
    excess = table[0] - table[1]
    table[2], table[3] = excess**2, np.abs(excess) > _NOTHING
    return codes, table


def _of_prompt(own: Counted, other: Counted) -> tuple[Codes, Array]:
    codes = np.union1d(own.codes, other.codes)
    table = np.zeros((len(SUMS), len(codes)))
    for place, one, beside in ((0, own, other), (1, other, own)):
        at = np.searchsorted(codes, one.codes)
        words, others = np.array([float(one.words)]), np.array([float(beside.words)])
        table[place, at] = at_equal_lengths(one.counts[None, :].astype(np.float64), words, others)[0]
        table[4 + place, at] = one.counts > 0
    table[6] = 1
    return codes, table


def _equal_words(own: Counted, other: Counted) -> float:
    return float(words_at_equal_lengths(np.array([float(own.words)]), np.array([float(other.words)]))[0])


@dataclass(frozen=True)
class _Counting:
    """Each arm's counts of the phrases of one prompt that may occur on enough prompts."""

    frequent: Frequent

    def __call__(self, row: int, items: Mapping[str, Any]) -> dict[str, Counted]:
        counted = {}
        for arm, group in items["groups"].items():
            texts = texts_of(group)
            codes = np.concatenate([codes for _, codes, _ in texts.every_phrase()])
            counted[arm] = Counted(*np.unique(codes[self.frequent.may_hold(codes)], return_counts=True), len(texts))
        return counted
