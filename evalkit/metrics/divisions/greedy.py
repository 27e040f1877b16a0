"""The greedy partition (NoveltyBench, Zhang et al. 2025), apart from who tells whether two long answers say the same.

In the order of sampling, each completion joins the first class whose FIRST member says the same, or founds one. Equal
texts say the same. All other pairs are asked about, but for short answers where a rule is wanted for them ("words"):
two of at most 5 words say the same exactly where they share at least half of the longer one's words, case folded.
Where words are not told by spaces ("letters"), half of the letters prove nothing: an answer is short up to 6 letters,
and two short ones are asked about only where they share a letter. NoveltyBench's code had the rule for words in 2025,
and has none since: "do it" and "do not do it" share half.

Each class asks about its first member and all that are not in a class yet: at most k - 1 pairs where all say the same,
k (k - 1) / 2 where no two do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.metrics.estimators.ngrams import Ints
from evalkit.plumbing.tokenize_13a import unspaced_letters
from evalkit.plumbing.tokenizer import SPACED
from evalkit.records import Group

UNREAD_SHARE = 0.1
"""Of a prompt's pairs that were asked about, above which no division is made: the rest would mislead."""
_SHORT = 5
"""Words up to which two answers are compared word by word ..."""
_SHORT_UNSPACED = 6
"""... and letters, where words have no spaces between them."""
Short = Literal["asked", "words", "letters"]
"""How short answers are compared: as all others; by their words; or, in scripts without spaces, by their letters."""
Partition = Generator[tuple[int, list[int]], Sequence[bool], Ints]
"""Yields (the first member of a class, the answers that may say the same), takes whether each does, returns classes."""
Pair = tuple[int, str, str]
"""Number of the list, the first member of a class, and what may say the same."""
Same = Callable[[list[Pair]], Sequence[bool | None]]
"""Whether each pair says the same; None where that cannot be told."""


@dataclass(frozen=True)
class Divided:
    """Which of k answers say the same."""

    classes: Ints
    """(k,) the class of each, numbered from 0 in order of first appearance."""
    asked: int = 0
    """Different pairs that somebody was asked about."""
    unread: int = 0
    """Those that nobody could tell; they count as different."""

    @property
    def is_known(self) -> bool:
        """Whether enough pairs could be told to speak of classes."""
        return self.unread <= UNREAD_SHARE * self.asked


@dataclass(frozen=True, slots=True)
class _Answer:
    """A completion as short answers are compared."""

    text: str
    length: int
    words: frozenset[str]
    """Case folded; letters, where words have no spaces between them."""
    is_unspaced: bool

    @property
    def is_short(self) -> bool:
        return self.length <= (_SHORT_UNSPACED if self.is_unspaced else _SHORT)


def greedy(texts: Sequence[str], short: Short) -> Partition:
    """The partition of one prompt's answers, step by step."""
    answers = [_read(text, short) for text in texts]
    classes = np.full(len(answers), -1, dtype=np.int64)
    count = 0
    while len(waiting := np.flatnonzero(classes < 0)):
        leader = int(waiting[0])
        ruled = [_by_rule(answers[leader], answers[sample], short) for sample in waiting]
        unruled = [int(sample) for sample, same in zip(waiting, ruled, strict=True) if same is None]
        told = iter((yield leader, unruled) if unruled else ())
        classes[waiting[[bool(next(told)) if same is None else same for same in ruled]]] = count
        count += 1
    return classes


def divide(steps: Partition, same: Callable[[int, list[int]], Sequence[bool]]) -> Ints:
    """(k,) classes, told by `same` of a first member and those that may say the same."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(same(*asked))
    except StopIteration as end:
        return np.asarray(end.value, dtype=np.int64)


def divide_together(lists: Sequence[Sequence[str]], short: Sequence[Short], same: Same) -> list[Divided]:
    """Several lists of answers, each divided by itself, a class of all of them at a time: so `same` has many pairs.

    It is asked about each different pair of a list once.
    """
    steps = [greedy(texts, way) for texts, way in zip(lists, short, strict=True)]
    divided: dict[int, Divided] = {}
    counts = np.zeros((len(lists), 2), dtype=np.int64)
    open_steps: dict[int, tuple[int, list[int]]] = {}

    def go_on(number: int, told: Sequence[bool] | None) -> None:
        try:
            open_steps[number] = next(steps[number]) if told is None else steps[number].send(told)
        except StopIteration as end:
            open_steps.pop(number, None)
            divided[number] = Divided(end.value, *map(int, counts[number]))

    for number in range(len(lists)):
        go_on(number, None)
    while open_steps:
        asked = {number: _pairs(number, lists[number], *step) for number, step in open_steps.items()}
        distinct = list(dict.fromkeys(pair for pairs in asked.values() for pair in pairs))
        verdicts = dict(zip(distinct, same(distinct), strict=True))
        for pair, verdict in verdicts.items():
            counts[pair[0]] += (1, verdict is None)
        for number, pairs in asked.items():
            go_on(number, [bool(verdicts[pair]) for pair in pairs])
    return [divided[number] for number in range(len(lists))]


def short_of(group: Group) -> Short:
    """How short answers of a group are compared by rule: by letters where its tokenizer splits such scripts."""
    return "words" if group.tokenizer == SPACED else "letters"


def _pairs(number: int, texts: Sequence[str], leader: int, others: Sequence[int]) -> list[Pair]:
    return [(number, texts[leader], texts[other]) for other in others]


def _read(text: str, short: Short) -> _Answer:
    letters = unspaced_letters(text.lower()) if short == "letters" else ()
    words = letters or (() if short == "asked" else text.lower().split())
    return _Answer(text, len(words), frozenset(words), bool(letters))


def _by_rule(first: _Answer, second: _Answer, short: Short) -> bool | None:
    """Whether two answers say the same; None where no rule tells."""
    if first.text == second.text:
        return True
    if short == "asked" or not (first.is_short and second.is_short):
        return None
    shared = len(first.words & second.words)
    if first.is_unspaced or second.is_unspaced:
        return None if shared else False
    return 2 * shared >= max(first.length, second.length)
