"""ROUGE-L between all pairs of completions, by longest common subsequences in the bits of long integers.

Hyyrö's (2004) recurrence keeps one bit a word: with V the places of a text that no subsequence has used, and M the
places where it has the word that comes next, V becomes (V + (V & M)) | (V & ~M), and the zeros of V at the end are the
length of the longest common subsequence. The sum carries from a text's low places to its high ones. Here the V of many
texts stand side by side in one Python integer, with an empty bit between two that catches the carry: each word of one
text is five operations on all the others at once, whatever their lengths.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from evalkit.metrics.declaration import metric
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.plumbing.arrays import Array
from evalkit.records import Group

NAN = float("nan")
Words = tuple[str, ...]
POOL = 512
"""Completions across prompts that are compared with each other: their pairs grow with the square."""
_BLOCK_BITS = 2**16
"""Texts laid side by side: enough to share each step, few enough that the integers stay in the fastest memory."""


def _without_each(group: Group) -> Array:
    """(k,) of `rouge_l_homogenization`: its value on the pairs that are left without each completion."""
    k = len(group.words)
    if k < 3:
        return np.full(k, NAN)
    sums = _with_all_others(_words(group))
    return np.asarray((sums.sum() - 2 * sums) / ((k - 1) * (k - 2)), dtype=np.float64)


@metric(
    name="rouge_l_homogenization",
    unit="ROUGE-L",
    better="lower",
    side="diversity",
    family="words",
    plain="overlap between answers",
    moves_with_length=True,
    bounds=(0, 1),
    needs={"words"},
    version="1.1",
    cites="Padmakumar & He 2024",
    without_each=_without_each,
    pool_at_most=POOL,
)
def rouge_l_homogenization(group: Group) -> float:
    """Mean ROUGE-L F1 over all pairs of completions: how much of one, in order, is in another.

    F1 = 2 LCS / (words of one + words of the other), LCS their longest common subsequence of words, case folded.
    Punctuation is left out, for any two sentences share a full stop, and short ones little else; a completion of
    nothing but punctuation keeps it. Two empty completions score 1, an empty one beside another 0. rouge-score also
    drops all letters but a-z.

    Range: [0, 1]; 0 when no pair shares a word, 1 when all are the same.

    Bias: none at any k (a U-statistic), so figures at different k compare. Longer texts share more common words.

    Cost: pairs of different texts times their lengths over 64: 1 to 5 us a pair of 64 words. Quadratic in k: 100 000
    completions as one group are hours, so across prompts it is the mean over pools of at most 512. Memory is a block of
    texts, never k x k.

    Undefined: below two completions.
    """
    k = len(group.words)
    if k < 2:
        return NAN
    return float(_with_all_others(_words(group)).sum()) / (k * (k - 1))


def _words(group: Group) -> list[Words]:
    """What is compared of each completion."""
    known = {word for words in group.words for word in words}
    kept = {word: word.casefold() for word in known if not all(unicodedata.category(sign)[0] == "P" for sign in word)}
    return [tuple(kept[word] for word in words if word in kept) or words for words in group.words]


def _with_all_others(words: Sequence[Words]) -> Array:
    """(k,) the sum of each text's F1 with every other one."""
    times = Counter(words)
    texts = list(times)
    weights = np.array([times[text] for text in texts], dtype=np.float64)
    sums = weights - 1
    for text, others, f1 in _f1_of_pairs(texts):
        sums[text] += weights[others] @ f1
        sums[others] += weights[text] * f1
    row = {words_of_text: number for number, words_of_text in enumerate(texts)}
    return np.asarray(sums[[row[text] for text in words]], dtype=np.float64)


def _f1_of_pairs(texts: Sequence[Words]) -> Iterator[tuple[int, Ints, Array]]:
    """Every pair of two different texts once: a text, others, and its F1 with each of them."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    start = 0
    while start < len(texts):
        abreast = _Abreast()
        for text in range(start, len(texts)):
            others = np.arange(start, start + len(abreast.starts))
            if len(others):
                yield text, others, 2 * abreast.common(texts[text]) / (lengths[text] + lengths[others])
            if abreast.bits < _BLOCK_BITS:
                abreast.add(texts[text])
        start += len(abreast.starts)


class _Abreast:
    """Texts laid side by side in the bits of an integer."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.bits = 0
        self._places: dict[str, int] = {}
        """Word -> a bit wherever it stands."""
        self._unused = 0
        """A bit for every word, none between texts."""

    def add(self, text: Words) -> None:
        for bit, word in enumerate(text, start=self.bits):
            self._places[word] = self._places.get(word, 0) | 1 << bit
        self._unused |= ((1 << len(text)) - 1) << self.bits
        self.starts.append(self.bits)
        self.bits += len(text) + 1

    def common(self, text: Words) -> Ints:
        """Length of the longest common subsequence of `text` and each text here."""
        left = self._unused
        for places in filter(None, map(self._places.get, text)):
            matches = left & places
            left = ((left + matches) | (left - matches)) & self._unused
        used = (self._unused ^ left).to_bytes(-(-self.bits // 8), "little")
        bits = np.unpackbits(np.frombuffer(used, dtype=np.uint8), bitorder="little")
        return np.add.reduceat(bits, self.starts, dtype=np.int64)
