"""Annotations as arrays: raters down, pairs across."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.plumbing.arrays import Array
from evalkit.plumbing.tokenize_13a import tokenize
from evalkit.preferences.agreement.coefficients import Answers
from evalkit.preferences.agreement.two_way import Index
from evalkit.preferences.annotation import SWAPPED, Annotation, Choice, Comparison, Side, votes
from evalkit.preferences.pairs import Pair
from evalkit.preferences.preference import Preference
from evalkit.records import Prompt
from evalkit.runs.exchange.rows import id_of

CATEGORIES = 3
"""The first completion, the second, neither: both kinds of tie say the same of the two."""
CODES: dict[Choice, int] = {"a": 0, "b": 1, "tie": 2, "both_bad": 2}
NEITHER = 2
Key = tuple[str, str, str]
"""Prompt and the two completions, in the order that hashes give them."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """What R raters said of I pairs.

    Which completion is called the first is decided by hashes, so that neither the file's order nor the arm a completion
    is of has a part in what counts as agreement by chance.
    """

    raters: tuple[str, ...]
    groups: tuple[str, ...]
    """[R] the group of each; one name in two groups is two raters."""
    pairs: tuple[Pair, ...]
    """[I] the completions of each in the order of `answers`."""
    answers: Answers
    """[R, I] 0 for the first, 1 for the second, 2 for neither, -1 for nothing."""
    again: Answers
    """[R, I] the same, of pairs that the rater was asked about once more."""
    left: Array
    """[R, I] 1 where the choice stood on the left, 0 on the right; NaN of ties and of nothing."""
    seconds: Array
    """[R, I]; NaN where nothing was answered, or not measured."""
    speed: Array
    """[R, I] words of both completions a second."""

    def members(self, group: str | None = None) -> Index:
        """Rows of a group's raters, of all for None."""
        return np.array([row for row, name in enumerate(self.groups) if group in (None, name)], np.int64)

    @property
    def group_names(self) -> list[str]:
        return sorted(set(self.groups))

    @property
    def ties(self) -> Array:
        """[R, I] 1 of a tie, 0 of a choice, NaN of nothing."""
        return np.where(self.answers < 0, np.nan, self.answers == NEITHER)

    @property
    def consistent(self) -> Array:
        """[R, I] 1 where the second answer was the first one, 0 where another; NaN where there were not two."""
        twice = (self.answers >= 0) & (self.again >= 0)
        return np.where(twice, self.answers == self.again, np.nan)


def ratings_of(annotations: Sequence[Annotation]) -> Ratings:
    """Arrays of the votes and the repeats among annotations; of several votes of a rater on a pair the last counts."""
    counted = votes(annotations)
    repeats = [row for row in annotations if row.is_repeat and not row.is_excluded and row.choice != "skip"]
    repeats = [row for row in repeats if row.comparison.gold is None]
    raters = {key: place for place, key in enumerate(sorted({(row.group, row.rater) for row in counted}))}
    keys = [_key(row.comparison.pair) for row in counted]
    pairs = {key: _oriented(row.comparison.pair) for key, row in zip(keys, counted, strict=True)}
    columns = {key: place for place, key in enumerate(pairs)}
    shape = (len(raters), len(columns))
    answers, again = np.full(shape, -1, np.int8), np.full(shape, -1, np.int8)
    left, seconds, speed = (np.full(shape, np.nan) for _ in range(3))
    words = {key: sum(len(tokenize(text)) for text in (pair.a, pair.b)) for key, pair in pairs.items()}
    for row, key in zip(counted, keys, strict=True):
        cell = raters[row.group, row.rater], columns[key]
        answers[cell], seconds[cell] = _code(row), row.seconds
        left[cell] = row.choice == row.first if row.choice in ("a", "b") else np.nan
        speed[cell] = words[key] / max(row.seconds, 1e-3)
    for row in repeats:
        place = (raters.get((row.group, row.rater), -1), columns.get(_key(row.comparison.pair), -1))
        if min(place) >= 0:
            again[place] = _code(row)
    names, groups = tuple(rater for _, rater in raters), tuple(group for group, _ in raters)
    return Ratings(names, groups, tuple(pairs.values()), answers, again, left, seconds, speed)


def as_annotations(preferences: Iterable[Preference]) -> list[Annotation]:
    """Preferences whose rater and group are known; a pair that a rater compares again is a repeat."""
    found: list[Annotation] = []
    seen: set[tuple[str, str, Key]] = set()
    for row in preferences:
        if row.rater is None or row.group is None:
            continue
        pair = Pair(Prompt(row.prompt_id or id_of(row.prompt), row.prompt), row.chosen, row.rejected)
        key = (row.group, row.rater, _key(pair))
        choice: Choice = "a" if row.winner == "chosen" else row.winner
        first: Side = "b" if row.order == "rejected_first" else "a"
        seconds = np.nan if row.seconds is None else row.seconds
        found.append(
            Annotation(Comparison(pair), row.rater, row.group, choice, first, seconds, at="", is_repeat=key in seen)
        )
        seen.add(key)
    return found


def gold_passed(annotations: Sequence[Annotation], ratings: Ratings) -> Array:
    """[R, G] 1 where a check of attention was answered as its owner says, else 0; NaN where not asked or skipped."""
    asked = [row for row in annotations if row.comparison.gold is not None and not row.is_excluded]
    checks = [row for row in asked if row.choice != "skip"]
    columns = {key: place for place, key in enumerate(dict.fromkeys(row.comparison.id for row in checks))}
    rows = {key: place for place, key in enumerate(zip(ratings.groups, ratings.raters, strict=True))}
    passed = np.full((len(rows), len(columns)), np.nan)
    for row in checks:
        if (row.group, row.rater) in rows:
            passed[rows[row.group, row.rater], columns[row.comparison.id]] = row.choice == row.comparison.gold
    return passed


def directions(answers: Answers) -> NDArray[np.int8]:
    """+1 for the first, -1 for the second, 0 for neither or nothing."""
    return np.asarray((answers == 0).astype(np.int8) - (answers == 1), np.int8)


def _code(row: Annotation) -> int:
    return CODES[SWAPPED[row.choice] if _is_turned(row.comparison.pair) else row.choice]


def _key(pair: Pair) -> Key:
    first, second = (pair.b, pair.a) if _is_turned(pair) else (pair.a, pair.b)
    return _asked(pair), first, second


def _oriented(pair: Pair) -> Pair:
    return Pair(pair.prompt, pair.b, pair.a) if _is_turned(pair) else pair


def _is_turned(pair: Pair) -> bool:
    return _hash(pair, pair.a) > _hash(pair, pair.b)


def _hash(pair: Pair, text: str) -> bytes:
    return hashlib.sha256(f"{_asked(pair)}\0{text}".encode("utf-8", "replace")).digest()


def _asked(pair: Pair) -> str:
    return json.dumps([pair.prompt_id, *((turn.role, turn.content) for turn in pair.prompt.turns)])
