"""What of all that moved is said once: parts of a longer phrase stand with it, and what a word takes along with it.

"as an" that moved because "as an assistant" did is no news of its own, nor is "of the" where "the" is said more
everywhere. Both are asked of the counts: is what remains of "as an" outside the longer phrase still clear, and does
the longer phrase make up a clearly other share of the shorter one's uses?
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.words.log_odds import at_equal_lengths, p_of, z_over_prompts
from evalkit.plumbing.arrays import Array


@dataclass(frozen=True)
class Moved:
    """T phrases that one arm says clearly more, or clearly less."""

    phrases: Sequence[str]
    """The surest first."""
    own: Array
    """(P, T) the arm's counts ..."""
    other: Array
    """... and the baseline's."""
    words: Array
    """(P,) the arm's words ..."""
    other_words: Array
    """... and the baseline's."""
    units: Sequence[Sequence[int]]
    """Prompts that are one draw together."""
    sign: int
    """1 where they are said more, -1 where less."""
    clear: float
    """The largest p that counts as clear."""


def folded(moved: Moved) -> dict[int, tuple[int, ...]]:
    """Which phrases are said, in their order -> the parts of each that are not said by themselves."""
    inside = _inside(moved.phrases)
    home = _homes(moved, inside)
    said: set[int] = set()
    for place in sorted(home, key=lambda place: (_length(moved, place), place)):
        if home[place] == place and not _is_echo(moved, place, said, inside):
            said.add(place)
    return {
        place: tuple(part for part, whole in home.items() if whole == place != part) for place in home if place in said
    }


def _homes(moved: Moved, inside: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Phrase -> the longest one that it moved as a part of; itself where it is more than a part."""
    home = {place: place for place in range(len(moved.phrases))}
    for part in sorted(home, key=lambda place: -_length(moved, place)):
        wholes = (whole for whole in inside.get(part, ()) if not _is_clear(moved, part, whole))
        home[part] = home[next(wholes, part)]
    return home


def _is_echo(moved: Moved, place: int, said: Collection[int], inside: Mapping[int, Sequence[int]]) -> bool:
    """Whether a phrase moved no more than some part of it that is said, by itself or in another phrase."""
    shared = (
        part
        for part, wholes in inside.items()
        if place in wholes and (part in said or any(whole in said for whole in wholes))
    )
    return any(not _says_more(moved, part, place) for part in shared)


def _length(moved: Moved, place: int) -> int:
    return len(moved.phrases[place].split())


def _inside(phrases: Sequence[str]) -> Mapping[int, list[int]]:
    """Phrase -> the longer ones that hold it, the longest first."""
    places = {phrase: place for place, phrase in enumerate(phrases)}
    inside: dict[int, list[int]] = {}
    for whole in sorted(places, key=lambda phrase: -len(phrase.split())):
        words = whole.split()
        parts = {" ".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, len(words) + 1)} - {whole}
        for part in parts & places.keys():
            inside.setdefault(places[part], []).append(places[whole])
    return inside


def _is_clear(moved: Moved, part: int, whole: int) -> bool:
    """Whether a part has moved outside a longer phrase too."""
    times = _times(moved.phrases[part].split(), moved.phrases[whole].split())
    own, other = (np.maximum(counts[:, part] - times * counts[:, whole], 0) for counts in (moved.own, moved.other))
    return _is_moved(moved, own, other, moved.words, moved.other_words)


def _says_more(moved: Moved, part: int, whole: int) -> bool:
    """Whether a longer phrase is a clearly larger share of the uses of a part, or a smaller one where it is lost."""
    return _is_moved(moved, moved.own[:, whole], moved.other[:, whole], moved.own[:, part], moved.other[:, part])


def _is_moved(moved: Moved, own: Array, other: Array, words: Array, other_words: Array) -> bool:
    excess = at_equal_lengths(own[:, None], words, other_words) - at_equal_lengths(other[:, None], other_words, words)
    by_unit = np.array([excess[list(unit)].sum() for unit in moved.units])
    z = z_over_prompts(by_unit.sum(keepdims=True), (by_unit**2).sum(keepdims=True))
    p = p_of(z, np.array([np.count_nonzero(by_unit)]))
    return bool(p[0] <= moved.clear and z[0] * moved.sign > 0)


def _times(part: Sequence[str], whole: Sequence[str]) -> int:
    """How often the one stands in the other."""
    return sum(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))
