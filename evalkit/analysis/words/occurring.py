"""Which phrases occur on enough prompts to be worth counting, found in memory that does not grow with the texts.

A phrase that occurs on few prompts cannot have moved clearly: on 8 prompts p is 1/128 at the least. Whether one occurs
at all says nothing of which arm says it, so that leaving the rare ones out is fair to the rest (Bourgon, Gentleman &
Huber 2010, "Independent filtering"). The first pass over the texts keeps for each of `BUCKETS` numbers in two tables
on how many prompts some phrase with that number occurs (a count-min sketch: Cormode & Muthukrishnan 2005). That is
never too few, so no phrase is lost that should be counted; those that are let in by chance are counted exactly by
the second pass, and dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.words.coding import CodedTexts, Codes, coded
from evalkit.plumbing.by_row import Result, Work, by_row
from evalkit.plumbing.lazily import Lazy, is_lazy
from evalkit.plumbing.progress import Listener
from evalkit.records import Group, Groups

LEAST_PROMPTS = 8
"""Prompts on which a phrase must occur, under either arm, to be tested."""
MOST_PHRASES = 50_000
"""Where more would be tested, they must occur on more prompts."""
MOST_COMPLETIONS = 128
"""Of each prompt under each arm that are counted: prompts are the draws, and more of one say little more."""
BUCKETS = 2**24
_TOP = np.iinfo(np.uint16).max
_AT_ONCE = 32
"""Prompts whose results are held at once."""
Buckets = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Rows(Lazy[Mapping[str, Group]]):
    """Some prompts' groups, {arm: group} each."""

    groups: Groups
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def make(self, index: int) -> Mapping[str, Group]:
        row = self.rows[index]
        return {arm: of_arm[row] for arm, of_arm in self.groups.items() if row < len(of_arm)}


def in_portions(
    work: Work[Result], groups: Groups, units: Sequence[Sequence[int]], tell: Listener
) -> Iterator[tuple[list[Sequence[int]], dict[int, Result]]]:
    """The work on portions of whole units: (the units, row -> its result). Rows are prompts, `units` all of them."""
    waiting: list[Sequence[int]] = []
    for place, unit in enumerate(units):
        waiting.append(unit)
        if sum(map(len, waiting)) >= _AT_ONCE or place == len(units) - 1:
            rows = tuple(row for members in waiting for row in members)
            lazy = Rows(groups, rows)
            column: Sequence[Any] = lazy if is_lazy(groups) else list(lazy)
            yield waiting, dict(zip(rows, by_row(work, {"groups": column}, tell.advance), strict=True))
            waiting = []


def texts_of(group: Group) -> CodedTexts:
    """The words of the completions that are counted."""
    return coded([completion.text for completion in group.completions[:MOST_COMPLETIONS]], group.tokenizer)


@dataclass(frozen=True)
class Frequent:
    """Of which phrases it is possible that they occur on enough prompts."""

    least_prompts: int
    first: NDArray[np.uint8]
    """(BUCKETS / 8,) bits."""
    second: NDArray[np.uint8]

    def may_hold(self, codes: Codes) -> NDArray[np.bool_]:
        first, second = buckets(codes)
        return _bit(self.first, first) & _bit(self.second, second)


def frequent_phrases(groups: Groups, units: Sequence[Sequence[int]], tell: Listener) -> Frequent:
    """Look for the phrases that occur on enough prompts under any arm."""
    first, second = (np.zeros(BUCKETS, dtype=np.uint16) for _ in range(2))
    for _, results in in_portions(_Occurring(), groups, units, tell):
        for of_row in results.values():
            for table, hit in zip((first, second), of_row, strict=True):
                table[hit] += table[hit] < _TOP
    least = _least(first)
    return Frequent(least, np.packbits(first >= least), np.packbits(second >= least))


def buckets(codes: Codes) -> tuple[Buckets, Buckets]:
    """The number of each code in both tables."""
    first = (codes >> np.uint64(40)).astype(np.uint32)
    return first, (codes >> np.uint64(8)).astype(np.uint32) & np.uint32(BUCKETS - 1)


@dataclass(frozen=True)
class _Occurring:
    """The numbers of all phrases of one prompt's completions."""

    def __call__(self, row: int, items: Mapping[str, Any]) -> tuple[Buckets, Buckets]:
        texts = map(texts_of, items["groups"].values())
        codes = [codes for of_arm in texts for _, codes, _ in of_arm.every_phrase()]
        first, second = buckets(np.unique(np.concatenate(codes)))
        return np.unique(first), np.unique(second)


def _least(table: NDArray[np.uint16]) -> int:
    """The fewest prompts that leave no more than MOST_PHRASES."""
    above = np.bincount(table[table >= LEAST_PROMPTS], minlength=LEAST_PROMPTS + 1)
    kept = above[::-1].cumsum()[::-1]
    enough = np.flatnonzero(kept[LEAST_PROMPTS:] <= MOST_PHRASES)
    return LEAST_PROMPTS + (int(enough[0]) if len(enough) else len(kept) - LEAST_PROMPTS)


def _bit(bits: NDArray[np.uint8], places: Buckets) -> NDArray[np.bool_]:
    return np.asarray((bits[places >> 3] >> (7 - (places & 7)).astype(np.uint8)) & 1, dtype=np.bool_)
