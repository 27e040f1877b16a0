"""Equal lengths: every arm's completions cut so that all arms have exactly the same lengths, and none is dropped.

Longer texts look more diverse by some metrics and less by others. Cutting all of them at one length would throw away
the ends of almost all; leaving out those that are too short would compare different kinds of answers. So, prompt by
prompt, the completions of each arm are ranked by length, and those of rank r are cut to the shortest that any arm has
at that rank. The shortest answers meet the shortest, the longest the longest, and as little as can be is cut. What all
of an arm's answers begin with (`openings`) is taken off first: it is not what the answers are about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.comparison.openings import opening_of, without
from evalkit.records import Group, Groups

DIFFERENT = 0.05
"""Mean lengths further apart than this share of the shortest are different enough to be matched unasked."""


def match_lengths(groups: Groups) -> dict[str, list[Group]]:
    """Every arm's groups (one a prompt, in the same order) with its completions cut to the common lengths, in words.

    A cut text is its first words after the arm's opening, as the groups' tokenizer splits them, joined by single
    spaces, also where nothing had to be cut, so that metrics of text and of words see the same. Completions keep their
    order. A prompt on which arms have different numbers of completions is left with none.
    """
    matched: dict[str, list[Group]] = {arm: [] for arm in groups}
    bare = {arm: without(opening_of(of_arm), of_arm) for arm, of_arm in groups.items()}
    for members in zip(*bare.values(), strict=True):
        lengths = common_lengths([[len(words) for words in group.words] for group in members])
        for arm, group in zip(groups, members, strict=True):
            matched[arm].append(_cut(group, lengths))
    return matched


def common_lengths(lengths: Sequence[Sequence[int]]) -> list[int]:
    """For each rank, shortest first, the shortest length that any arm has at it; `lengths` holds one row an arm."""
    if len({len(of_arm) for of_arm in lengths}) != 1:
        return []
    ranked: NDArray[np.int64] = np.sort(np.array(lengths, dtype=np.int64), axis=1).min(axis=0)
    return [int(length) for length in ranked]


def lengths_hash(matched: Groups, groups: Groups) -> str:
    """What `groups` were cut to, in twelve letters: equal in every arm, and a part of the signature.

    The lengths of the matched groups, and the openings that were taken off, if any were.
    """
    of_any_arm = next(iter(matched.values()), ())
    table = [sorted(len(words) for words in group.words) for group in of_any_arm]
    openings = sorted({opening for of_arm in groups.values() if (opening := opening_of(of_arm))})
    return hashlib.sha256(repr((table, openings) if openings else table).encode()).hexdigest()[:12]


def lengths_differ(groups: Groups) -> bool:
    """Whether the mean lengths of any two arms differ by more than `DIFFERENT`."""
    means = [mean for mean in map(_mean_length, groups.values()) if not np.isnan(mean)]
    return len(means) > 1 and max(means) > (1 + DIFFERENT) * min(means)


def are_cut(groups: Groups) -> bool:
    """Whether more than `DIFFERENT` of any arm's completions ended at max_tokens."""
    arms = [
        [completion.finish_reason == "length" for group in of_arm for completion in group.completions]
        for of_arm in groups.values()
    ]
    return any(sum(cut) > DIFFERENT * len(cut) for cut in arms)


def _mean_length(groups: Sequence[Group]) -> float:
    lengths = [len(words) for group in groups for words in group.words]
    return sum(lengths) / len(lengths) if lengths else float("nan")


def _cut(group: Group, lengths: Sequence[int]) -> Group:
    words: list[tuple[str, ...]] = [()] * len(lengths)
    shortest_first = sorted(range(len(group.words)), key=lambda sample: len(group.words[sample]))
    for sample, length in zip(shortest_first, lengths, strict=False):
        words[sample] = group.words[sample][:length]
    pairs = zip(group.completions, words, strict=False)
    return group.of(tuple(replace(completion, text=" ".join(kept)) for completion, kept in pairs), tuple(words))
