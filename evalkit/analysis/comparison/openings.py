"""An arm's opening: words that nearly every one of its answers begins with, whatever was asked ("Here is a line:").

It belongs to the arm's manner, not to any answer. Where texts are cut to equal lengths it would be all that is left of
them, and answers that differ as before would look alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.records import Group

NEARLY_ALL = 0.8
"""Share of an arm's completions that begin with its opening; of fewer it is a habit, and a part of their range."""
FEWEST_ASKED = 4
"""Prompts below which what all answers begin with may be what was asked for."""
FIRST_PROMPTS, FIRST_ANSWERS = 16, 64
"""How many are looked at to guess an opening, which all of them then bear out or not."""
LONGEST = 64
"""Words of an opening that is guessed."""


@dataclass(frozen=True, slots=True)
class Along:
    """How many of some texts begin with the first words of a path, by how many words."""

    texts: int
    """Those that have a word."""
    path: tuple[str, ...]
    begin: tuple[int, ...]
    """Texts that begin with so many words of the path: with none (all), with one, ..."""
    end: tuple[int, ...]
    """Those of them that have no other word."""
    beside: tuple[int, ...]
    """Those of them that go on with the most frequent word that is not the path's."""


def opening_of(groups: Sequence[Group]) -> tuple[str, ...]:
    """The longest opening of one arm, in words; empty where there is none.

    Answers that are nothing but their opening (a refusal, "Yes.") have none: they are the same answer.
    """
    path = path_of(groups)
    return opening_along([count_along(path, group.words) for group in groups], groups)


def opening_along(counts: Sequence[Along], groups: Sequence[Group]) -> tuple[str, ...]:
    """`opening_of` groups of which each is counted along the arm's path; they are looked at where it leads astray."""
    if sum(one.texts > 0 for one in counts) < FEWEST_ASKED:
        return ()
    path, texts = counts[0].path, sum(one.texts for one in counts)
    begin, end, beside = (
        np.sum([getattr(one, name) for one in counts], axis=0).tolist() for name in ("begin", "end", "beside")
    )
    least = NEARLY_ALL * texts
    for length in range(len(path) + 1):
        if length < len(path) and begin[length + 1] >= least:
            if end[length + 1] >= least:
                return ()
            if begin[length + 1] - end[length + 1] < least:
                return path[:length]
        elif beside[length] < least:  # no other word is more frequent than all groups' most frequent ones together
            return path[:length]
        else:
            break
    return _opening_of_all(groups)


def path_of(groups: Sequence[Group]) -> tuple[str, ...]:
    """What most of some prompts' first answers begin with, word by word, as far as `LONGEST` words."""
    looked_at = range(0, len(groups), max(1, len(groups) // FIRST_PROMPTS))
    texts = [words for row in looked_at for words in _first_words(groups[row]) if words]
    path: tuple[str, ...] = ()
    while texts and len(path) < LONGEST:
        word = Counter(words[len(path)] for words in texts).most_common(1)[0][0]
        texts = [words for words in texts if words[len(path)] == word and len(words) > len(path) + 1]
        path = (*path, word)
    return path


def _first_words(group: Group) -> Sequence[tuple[str, ...]]:
    """Those of the first answers; of many the others are not split for it."""
    if "words" in vars(group) or len(group.completions) <= FIRST_ANSWERS:
        return group.words[:FIRST_ANSWERS]
    return Group(group.prompt, group.completions[:FIRST_ANSWERS], tokenizer=group.tokenizer).words


def count_along(path: Sequence[str], texts: Sequence[Sequence[str]]) -> Along:
    """How far each of some texts, in words, goes along with a path."""
    begin, end = [0] * (len(path) + 1), [0] * (len(path) + 1)
    others: list[Counter[str]] = [Counter() for _ in begin]
    for words in filter(None, texts):
        differ = (place for place, (ours, theirs) in enumerate(zip(words, path, strict=False)) if ours != theirs)
        shared = next(differ, min(len(words), len(path)))
        for length in range(shared + 1):
            begin[length] += 1
        if shared == len(words):
            end[shared] += 1
        else:
            others[shared][words[shared]] += 1
    beside = tuple(max(counts.values(), default=0) for counts in others)
    return Along(begin[0], tuple(path), tuple(begin), tuple(end), beside)


def _opening_of_all(groups: Sequence[Group]) -> tuple[str, ...]:
    texts = [words for group in groups for words in group.words if words]
    least = NEARLY_ALL * len(texts)
    opening: tuple[str, ...] = ()
    while True:
        going_on = [words for words in texts if len(words) > len(opening) and _opens(words, opening)]
        word, count = Counter(words[len(opening)] for words in going_on).most_common(1)[0]
        longer = (*opening, word)
        if count < least:
            return opening
        if sum(words == longer for words in going_on) >= least:
            return ()
        if sum(len(words) > len(longer) for words in going_on if _opens(words, longer)) < least:
            return opening
        opening = longer


def without(opening: Sequence[str], groups: Sequence[Group]) -> list[Group]:
    """The groups with the opening taken off where a completion has it and says more."""
    return [bare(opening, group) for group in groups]


def bare(opening: Sequence[str], group: Group) -> Group:
    """One group without the opening."""
    return group.of(group.completions, tuple(_rest(words, tuple(opening)) for words in group.words))


def _opens(words: Sequence[str], opening: tuple[str, ...]) -> bool:
    return tuple(words[: len(opening)]) == opening


def _rest(words: tuple[str, ...], opening: tuple[str, ...]) -> tuple[str, ...]:
    return words[len(opening) :] if opening and len(words) > len(opening) and _opens(words, opening) else words
