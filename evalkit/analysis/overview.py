"""One look at every completion: all that alarms and equal lengths need to know of them, kept small.

So they ask for each group once, however many there are; what they say of an arm is put together from its groups' parts.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.comparison.openings import Along, count_along, path_of
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.by_row import by_row
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.scripts import letters_by_script
from evalkit.records import Arm, Completion, Group, Groups, Prompt

PHRASE = 4
"""Words below which a text may well answer many prompts."""
LONG_WORD = 15
"""Mean characters a word above which it is none: English has 5, Finnish 8, a Chinese sentence without spaces 20."""
Overview = Mapping[str, Sequence["Seen"]]
"""Arm -> what was seen of each prompt's completions."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Whether completions repeat an earlier one of their prompt, and how likely that was."""

    hits: Array
    """(k,) 1 where one does."""
    chances: Array
    """(k,) probability of all earlier ones together, by their log-probs."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """A prompt's different texts of `PHRASE` words or more, in the order in which they come."""

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int32]
    """How many completions are this text."""
    firsts: NDArray[np.int32]
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of k completions of one prompt."""

    prompt: Prompt
    completions: int
    """k."""
    truncated: int
    """How many were cut at max_tokens."""
    withheld: int
    """How many end where a provider refused the rest."""
    empty: int
    words: int
    """Words of all of them."""
    word_length: float
    """Mean characters of a word where texts show that it may be more than `LONG_WORD`, else 0."""
    by_script: Counter[str]
    """Letters of each script."""
    slots: NDArray[np.int32]
    """(k,) the sample index of each."""
    codes: NDArray[np.int32]
    """(k,) numbers counted up from 0, equal exactly where the texts are."""
    phrases: Phrases
    repeats: Repeats | None
    """None where it is not known what was likely."""
    along: Along
    """How many texts go along with what the arm's answers may begin with."""
    texts: bytes
    """Hash of all texts in their order."""

    @property
    def different(self) -> int:
        """How many different texts there are."""
        return int(self.codes.max(initial=-1)) + 1


def look_at(groups: Groups, raw: Sequence[str], tell: Listener = QUIET) -> Overview:
    """Look once at every group; `raw`: arms that are draws from their checkpoint's untempered distribution."""
    paths: dict[str, tuple[str, ...]] = {}
    tell.stage("guess openings", len(groups))
    for arm, of_arm in groups.items():
        paths[arm] = path_of(of_arm)
        tell.advance(1)
    look = _Look(frozenset(raw), paths)
    tell.stage("look over", max(map(len, groups.values()), default=0))
    rows = by_row(look, groups, tell.advance)
    return {arm: [row[arm] for row in rows if arm in row] for arm in groups}


def raw_arms(arms: Sequence[Arm]) -> list[str]:
    """Names of the arms that `look_at` is to be told of."""
    return [arm.name for arm in arms if arm.is_raw]


@dataclass(frozen=True)
class _Look:
    raw: frozenset[str]
    paths: Mapping[str, tuple[str, ...]]

    def __call__(self, row: int, groups: Mapping[str, Group]) -> dict[str, Seen]:
        return {arm: _seen(group, self.paths[arm], arm in self.raw) for arm, group in groups.items()}


def _seen(group: Group, path: Sequence[str], is_raw: bool) -> Seen:
    completions, texts, words = group.completions, group.texts, group.words
    return Seen(
        prompt=group.prompt,
        completions=len(completions),
        truncated=sum(completion.finish_reason == "length" for completion in completions),
        withheld=sum(completion.finish_reason == "withheld" for completion in completions),
        empty=sum(not completion.text or completion.text.isspace() for completion in completions),
        words=sum(map(len, words)),
        word_length=_word_length(texts, words),
        by_script=letters_by_script(texts),
        slots=np.array([completion.sample_index for completion in completions], dtype=np.int32),
        codes=_codes(completions),
        phrases=_phrases(texts, words),
        repeats=_repeats(completions) if is_raw else None,
        along=count_along(path, words),
        texts=hash_of(texts),
    )


def hash_of(texts: Sequence[str]) -> bytes:
    """Of texts in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0\0")
    return digest.digest()


def _codes(completions: Sequence[Completion]) -> NDArray[np.int32]:
    known: dict[str, int] = {}
    # Empty answers are alike for another reason than a seed: each counts as a text of its own.
    names = (
        completion.text if completion.text.strip() else f"\0{sample}" for sample, completion in enumerate(completions)
    )
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int32)


def _word_length(texts: Sequence[str], words: Sequence[Sequence[str]]) -> float:
    count = sum(map(len, words))
    if sum(map(len, texts)) <= LONG_WORD * count:  # spaces counted too: cheap, and true of nearly all texts
        return 0.0
    return sum(len(word) for text in words for word in text) / max(1, count)


def _phrases(texts: Sequence[str], words: Sequence[Sequence[str]]) -> Phrases:
    places: dict[str, list[int]] = {}
    for sample, (text, of_text) in enumerate(zip(texts, words, strict=True)):
        if len(of_text) >= PHRASE:
            places.setdefault(text, []).append(sample)
    return Phrases(
        np.array([_hash(text) for text in places], dtype=np.uint64),
        np.array([len(of_text) for of_text in places.values()], dtype=np.int32),
        np.array([of_text[0] for of_text in places.values()], dtype=np.int32),
    )


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _repeats(completions: Sequence[Completion]) -> Repeats | None:
    """Given the draws before it, a draw repeats one of them with the probability of those together."""
    if not all(completion.logprobs and completion.token_ids for completion in completions):
        return None
    hits, chances = np.empty(len(completions)), np.empty(len(completions))
    seen: set[tuple[int, ...]] = set()
    mass = 0.0
    for row, completion in enumerate(completions):
        repeats = completion.token_ids in seen
        hits[row], chances[row] = repeats, mass
        if not repeats:
            seen.add(completion.token_ids)
            mass += math.exp(sum(completion.logprobs))
    return Repeats(hits, chances)
