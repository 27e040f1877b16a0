"""Equal lengths: every arm's completions cut so that all arms have exactly the same lengths, and none is dropped.

Longer texts look more diverse by some metrics and less by others. Cutting all of them at one length would throw away
the ends of almost all; leaving out those that are too short would compare different kinds of answers. So, prompt by
prompt, the completions of each arm are ranked by length, and those of rank r are cut to the shortest that any arm has
at that rank. The shortest answers meet the shortest, the longest the longest, and as little as can be is cut. What all
of an arm's answers begin with (`openings`) is taken off first: it is not what the answers are about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.comparison.openings import bare, opening_of
from evalkit.analysis.overview import Overview, Seen
from evalkit.plumbing.lazily import Lazy, is_lazy
from evalkit.records import Group, Groups

DIFFERENT = 0.05
"""Mean lengths further apart than this share of the shortest are different enough to be matched unasked."""


def match_lengths(groups: Groups, openings: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Sequence[Group]]:
    """Every arm's groups (one a prompt, in the same order) with its completions cut to the common lengths, in words.

    A cut text is its first words after the arm's opening, as the groups' tokenizer splits them, joined by single
    spaces, also where nothing had to be cut, so that metrics of text and of words see the same. Completions keep their
    order. A prompt on which arms have different numbers of completions is left with none. `openings`: those of the
    arms, where they are known.
    """
    known = {arm: opening_of(of_arm) for arm, of_arm in groups.items()} if openings is None else openings
    lazy: dict[str, Sequence[Group]] = {arm: Matched(arm, groups, known) for arm in groups}
    if is_lazy(groups):
        return lazy
    rows = [match(known, dict(zip(groups, members, strict=True))) for members in zip(*groups.values(), strict=True)]
    return {arm: [row[arm] for row in rows] for arm in groups}


@dataclass(frozen=True, eq=False)
class Matched(Lazy[Group]):
    """One arm's groups, each cut when it is looked at."""

    arm: str
    groups: Groups
    openings: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.groups[self.arm])

    def make(self, index: int) -> Group:
        return match(self.openings, {arm: of_arm[index] for arm, of_arm in self.groups.items()})[self.arm]


def match(openings: Mapping[str, Sequence[str]], groups: Mapping[str, Group]) -> dict[str, Group]:
    """One prompt's completions under every arm, without the arm's opening, cut to the common lengths."""
    uncut = {arm: bare(openings[arm], group) for arm, group in groups.items()}
    lengths = common_lengths([[len(words) for words in group.words] for group in uncut.values()])
    return {arm: _cut(group, lengths) for arm, group in uncut.items()}


def common_lengths(lengths: Sequence[Sequence[int]]) -> list[int]:
    """For each rank, shortest first, the shortest length that any arm has at it; `lengths` holds one row an arm."""
    if len({len(of_arm) for of_arm in lengths}) != 1:
        return []
    ranked: NDArray[np.int64] = np.sort(np.array(lengths, dtype=np.int64), axis=1).min(axis=0)
    return [int(length) for length in ranked]


def lengths_hash(lengths: Sequence[Sequence[int]], openings: Iterable[tuple[str, ...]]) -> str:
    """What groups were cut to, in twelve letters: equal in every arm, and a part of the signature.

    `lengths`: of the words of each matched group, sorted. `openings`: what was taken off the arms' texts, if anything.
    """
    table, off = list(map(list, lengths)), sorted({opening for opening in openings if opening})
    return hashlib.sha256(repr((table, off) if off else table).encode()).hexdigest()[:12]


def lengths_differ(overview: Overview) -> bool:
    """Whether the mean lengths of any two arms differ by more than `DIFFERENT`."""
    means = [mean for mean in map(_mean_length, overview.values()) if not np.isnan(mean)]
    return len(means) > 1 and max(means) > (1 + DIFFERENT) * min(means)


def are_cut(overview: Overview) -> bool:
    """Whether more than `DIFFERENT` of any arm's completions ended at max_tokens."""
    return any(
        sum(seen.truncated for seen in of_arm) > DIFFERENT * sum(seen.completions for seen in of_arm)
        for of_arm in overview.values()
    )


def _mean_length(of_arm: Sequence[Seen]) -> float:
    completions = sum(seen.completions for seen in of_arm)
    return sum(seen.words for seen in of_arm) / completions if completions else float("nan")


def _cut(group: Group, lengths: Sequence[int]) -> Group:
    words: list[tuple[str, ...]] = [()] * len(lengths)
    shortest_first = sorted(range(len(group.words)), key=lambda sample: len(group.words[sample]))
    for sample, length in zip(shortest_first, lengths, strict=False):
        words[sample] = group.words[sample][:length]
    pairs = zip(group.completions, words, strict=False)
    return group.of(tuple(replace(completion, text=" ".join(kept)) for completion, kept in pairs), tuple(words))
