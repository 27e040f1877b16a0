"""An arm's opening: words that nearly every one of its answers begins with, whatever was asked ("Here is a line:").

It belongs to the arm's manner, not to any answer. Where texts are cut to equal lengths it would be all that is left of
them, and answers that differ as before would look alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evalkit.records import Group

NEARLY_ALL = 0.8
"""Share of an arm's completions that begin with its opening; of fewer it is a habit, and a part of their range."""
FEWEST_ASKED = 4
"""Prompts below which what all answers begin with may be what was asked for."""


def opening_of(groups: Sequence[Group]) -> tuple[str, ...]:
    """The longest opening of one arm, in words; empty where there is none.

    Answers that are nothing but their opening (a refusal, "Yes.") have none: they are the same answer.
    """
    if sum(any(group.words) for group in groups) < FEWEST_ASKED:
        return ()
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
    return [
        group.of(group.completions, tuple(_rest(words, tuple(opening)) for words in group.words)) for group in groups
    ]


def _opens(words: Sequence[str], opening: tuple[str, ...]) -> bool:
    return tuple(words[: len(opening)]) == opening


def _rest(words: tuple[str, ...], opening: tuple[str, ...]) -> tuple[str, ...]:
    return words[len(opening) :] if opening and len(words) > len(opening) and _opens(words, opening) else words
