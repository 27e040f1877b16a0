"""Words and phrases of texts as 64-bit numbers: the same number for the same phrase on every prompt, in every process.

So what is counted over many prompts needs no table of strings; the few phrases that are shown are looked up again.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evalkit.plumbing.tokenizer import Name, tokenizer

ORDERS = 4
"""Words of the longest phrases."""
Codes = NDArray[np.uint64]
Places = NDArray[np.int64]
_TYPOGRAPHY = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": ' " ', "\u201d": ' " ', "\u2013": " \u2013 ", "\u2014": " \u2014 ",
     "\u2026": " \u2026 "}
)  # fmt: skip
"""13a leaves what is not ASCII on its word: a dash would make a new word of every pair that it joins."""
_PICTURE = "[\u2600-\u27bf\U0001f300-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]*"
_PICTURES = re.compile(f"([\U0001f1e6-\U0001f1ff]{{2}}|{_PICTURE}(?:\u200d{_PICTURE})*)")
"""Emoji, those that are joined into one included: each is a word, also where it is written against another."""
_STEP = np.uint64(0x9E3779B97F4A7C15)
"""An odd number: no code of a phrase is lost where the next word's is added."""


@dataclass(frozen=True, slots=True)
class CodedTexts:
    """The T words and signs of k texts, one after the other."""

    words: tuple[str, ...]
    """(T,) in lower case."""
    codes: Codes
    """(T,)"""
    text: Places
    """(T,) the text that each is in."""
    is_sign: NDArray[np.bool_]
    """(T,) whether it has neither letter nor digit."""

    def __len__(self) -> int:
        return len(self.words)

    def phrases(self, n: int, over_signs: bool = False) -> tuple[Codes, Places]:
        """Codes of all runs of n words, and where each begins; those with a sign in them only where asked for.

        A sign by itself counts as a word.
        """
        starts = np.arange(max(0, len(self) - n + 1))
        if n == 1:
            return self.codes, starts
        is_inside = self.text[starts] == self.text[starts + n - 1] if len(starts) else np.zeros(0, dtype=np.bool_)
        if not over_signs:
            signs = np.concatenate([[0], np.cumsum(self.is_sign)])
            is_inside &= signs[starts + n] == signs[starts]
        starts = starts[is_inside]
        codes = self.codes[starts]
        with np.errstate(over="ignore"):
            for offset in range(1, n):
                codes = codes * _STEP + self.codes[starts + offset]
        return codes, starts

    def every_phrase(self) -> Iterator[tuple[int, Codes, Places]]:
        """(n, codes, starts) for each order up to `ORDERS`."""
        for n in range(1, ORDERS + 1):
            yield n, *self.phrases(n)

    def phrase_at(self, start: int, n: int) -> str:
        return " ".join(self.words[start : start + n])


def coded(texts: Sequence[str], tokenizer_name: Name) -> CodedTexts:
    """The words of texts, split as all measures of words split them, but for case, quotes, dashes, emoji, accents."""
    split = tokenizer(tokenizer_name)
    by_text = [tuple(map(plain, split(_apart(text)))) for text in texts]
    words = tuple(word for of_text in by_text for word in of_text)
    known = {word: (_code(word), not any(map(str.isalnum, word))) for word in set(words)}
    return CodedTexts(
        words,
        np.array([known[word][0] for word in words], dtype=np.uint64),
        np.repeat(np.arange(len(by_text)), [len(of_text) for of_text in by_text]),
        np.array([known[word][1] for word in words], dtype=np.bool_),
    )


def _apart(text: str) -> str:
    """With signs and emoji apart from words, and every letter with accents spelled in one way."""
    return _PICTURES.sub(r" \1 ", unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY))


def plain(word: str) -> str:
    """In lower case, without the quotes that 13a leaves on a word."""
    lower = word.lower()
    return lower.strip("'") or lower


def code_of(words: Sequence[str]) -> int:
    """The code of one phrase."""
    code = np.uint64(_code(words[0]))
    with np.errstate(over="ignore"):
        for word in words[1:]:
            code = code * _STEP + np.uint64(_code(word))
    return int(code)


@lru_cache(maxsize=200_000)
def _code(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
