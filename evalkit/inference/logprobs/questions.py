"""What a checkpoint is asked about completions, and its answer: an entry for each of them, read once where they repeat.

Completions may lie on disk: a question goes through them once, a prompt's at a time, and keeps of each a number that
says which text it is, and of each different text its place and its length.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.engines.base import DISTRIBUTION_ENGINE, Pair, engine_class
from evalkit.inference.sampling_calls import Loaded
from evalkit.plumbing.array_cache import key_of_list
from evalkit.plumbing.array_files import ArrayFile, Rows
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import Lazy, is_lazy
from evalkit.records import RANKS, NextTokenDistributions

Quantity = Literal["logprobs", "next_token_distributions", "prefix_logprobs"]
"""Log-prob of each completion; the `NextTokenDistributions` along it; log-prob that an answer begins with it, as whole
words."""
Tokens = tuple[int, ...]
VERSION = 2
"""Raised by hand when the same question gets another answer."""
Answer = Sequence[Any]
"""An item a prompt: (k,) log-probs of its completions, or a tuple of their `NextTokenDistributions`."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a checkpoint of the plan is asked about completions of prompts."""

    reader: Loaded
    quantity: Quantity
    prompts: Sequence[Tokens]
    """As the reader sees them; one may stand here twice."""
    texts: Sequence[Sequence[Tokens]]
    """Each prompt's completions."""

    @property
    def engine(self) -> str:
        return self.reader.engine if self.quantity == "logprobs" else DISTRIBUTION_ENGINE

    @cached_property
    def distinct(self) -> Distinct:
        """Its different pairs, and the key of their answers; all completions are looked at for it, once."""
        checkpoint = self.reader.checkpoint
        walk = _Walk(self.prompts, self.texts)
        facts = {
            **checkpoint.settings.departures,
            "weights": checkpoint.fingerprint,
            "dtype": checkpoint.dtype,
            "engine": self.engine,
            "engine_version": engine_class(self.engine).version(),
            "asked": self.quantity,
            "version": VERSION,
        }
        return walk.found(key_of_list(facts, "pairs", walk.pairs()))


@dataclass(frozen=True, eq=False)
class Distinct:
    """A question's different pairs: a collapsed arm says the same thing many times, and it is read once."""

    key: str
    """Hash of all that decides the answers."""
    starts: NDArray[np.int64]
    """(P + 1,) where each prompt's completions begin among all of them, and where the last one's end."""
    which: NDArray[np.int32]
    """Of every completion, which pair it makes with its prompt."""
    firsts: NDArray[np.int64]
    """Of every pair, the first completion that makes it."""
    lengths: NDArray[np.int32]
    """Tokens of its completion."""
    longest: int
    """Most tokens of a pair."""

    def __len__(self) -> int:
        return len(self.firsts)

    def places(self, pairs: range) -> Iterator[tuple[int, int]]:
        """(prompt, which of its completions) of some pairs."""
        firsts = self.firsts[pairs.start : pairs.stop]
        rows = np.searchsorted(self.starts, firsts, side="right") - 1
        return zip(rows.tolist(), (firsts - self.starts[rows]).tolist(), strict=True)


class _Walk:
    """One look at all completions."""

    def __init__(self, prompts: Sequence[Tokens], texts: Sequence[Sequence[Tokens]]) -> None:
        self._prompts, self._texts = prompts, texts
        self._starts = array("q", [0])
        self._which, self._firsts, self._lengths = array("i"), array("q"), array("i")
        self._longest = 0

    def pairs(self) -> Iterator[Pair]:
        """The different ones, in the order in which they come."""
        awaited = Counter(self._prompts)
        known: dict[Tokens, dict[Tokens, int]] = defaultdict(dict)
        for prompt, texts in zip(self._prompts, self._texts, strict=True):
            of_prompt = known[prompt]
            for text in texts:
                if text not in of_prompt:
                    of_prompt[text] = len(self._firsts)
                    self._firsts.append(len(self._which))
                    self._lengths.append(len(text))
                    self._longest = max(self._longest, len(prompt) + len(text))
                    yield prompt, text
                self._which.append(of_prompt[text])
            self._starts.append(len(self._which))
            awaited[prompt] -= 1
            if not awaited[prompt]:
                del known[prompt]

    def found(self, key: str) -> Distinct:
        return Distinct(
            key,
            np.array(self._starts, dtype=np.int64),
            np.array(self._which, dtype=np.int32),
            np.array(self._firsts, dtype=np.int64),
            np.array(self._lengths, dtype=np.int32),
            self._longest,
        )


class Reading:
    """The answers to a question while they come; on disk where they are large and the completions lie there."""

    def __init__(self, question: Question) -> None:
        distinct = question.distinct
        self._distinct = distinct
        self._of_tokens = question.quantity == "next_token_distributions"
        self.missing = len(distinct)
        """Pairs without an answer."""
        self.arrays: list[Rows] = [np.full(len(distinct), np.nan)]
        """(pairs,) log-probs; of distributions (tokens,) entropies and (tokens, R) log-probs at ranks."""
        if self._of_tokens:
            self._bounds = np.concatenate([[0], np.cumsum(distinct.lengths, dtype=np.int64)])
            tokens, is_large = int(self._bounds[-1]), is_lazy({"": question.texts})
            shapes: tuple[tuple[int, ...], ...] = ((), (len(RANKS),))
            self.arrays = [
                ArrayFile(tokens, rest) if is_large else np.empty((tokens, *rest), dtype=np.float32) for rest in shapes
            ]

    def put(self, pairs: range, answer: Sequence[Any]) -> None:
        """Take in the answers to some pairs. Raises `StoreError` where there is no room for them."""
        self.missing -= len(pairs)
        if not self._of_tokens:
            self.arrays[0][pairs.start : pairs.stop] = np.array(answer, dtype=np.float64)
            return
        rows = slice(int(self._bounds[pairs.start]), int(self._bounds[pairs.stop]))
        self.arrays[0][rows] = np.concatenate([along.entropy for along in answer])
        self.arrays[1][rows] = np.concatenate([along.logprobs_at_ranks for along in answer])

    def whole(self) -> list[NDArray[Any]]:
        """The arrays, for whoever goes through them once."""
        return [rows.mapped() if isinstance(rows, ArrayFile) else rows for rows in self.arrays]

    def answer(self, distinct: Distinct) -> Answer:
        """The answer to this question or to one with the same pairs."""
        if self._of_tokens:
            return Along(distinct, self._bounds, self.arrays[0], self.arrays[1])
        assert isinstance(self.arrays[0], np.ndarray)
        return Numbers(distinct, self.arrays[0])


@dataclass(frozen=True, eq=False)
class Numbers(Lazy[Array]):
    """(k,) numbers, one a completion, of each prompt."""

    distinct: Distinct
    values: Array

    def __len__(self) -> int:
        return len(self.distinct.starts) - 1

    def make(self, index: int) -> Array:
        start, stop = self.distinct.starts[index : index + 2]
        return self.values[self.distinct.which[start:stop]]


@dataclass(frozen=True, eq=False)
class Along(Lazy[tuple[NextTokenDistributions, ...]]):
    """The next-token distributions along each completion of each prompt."""

    distinct: Distinct
    bounds: NDArray[np.int64]
    """Where the tokens of each pair begin, and where those of the last one end."""
    entropy: Rows
    logprobs_at_ranks: Rows

    def __len__(self) -> int:
        return len(self.distinct.starts) - 1

    def make(self, index: int) -> tuple[NextTokenDistributions, ...]:
        start, stop = self.distinct.starts[index : index + 2]
        which = self.distinct.which[start:stop]
        pairs = np.unique(which)
        read: dict[int, NextTokenDistributions] = {}
        # A prompt's pairs stand side by side, but for those that an equal prompt before it had, too.
        for side_by_side in np.split(pairs, np.flatnonzero(np.diff(pairs) != 1) + 1):
            if len(side_by_side):
                read |= self._read(int(side_by_side[0]), int(side_by_side[-1]) + 1)
        return tuple(read[pair] for pair in which.tolist())

    def _read(self, first: int, end: int) -> dict[int, NextTokenDistributions]:
        rows = slice(int(self.bounds[first]), int(self.bounds[end]))
        cuts = self.bounds[first + 1 : end] - self.bounds[first]
        parts = zip(
            np.split(self.entropy[rows], cuts), np.split(self.logprobs_at_ranks[rows], cuts), strict=True
        )  # fmt: skip
        return {first + place: NextTokenDistributions(*both) for place, both in enumerate(parts)}
