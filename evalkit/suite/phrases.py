"""The phrases that a user wants counted: written in the suite, or in a text file with one a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evalkit.errors import SuiteError
from evalkit.plumbing.prose import short
from evalkit.plumbing.tokenize_13a import tokenize

COMMENT = "#"
MOST = 1_000
"""More is a dictionary, and no list of what is over-used."""
LONGEST = 500
"""Letters of a phrase; a longer one is a passage, which nobody says again word by word."""


def read_phrases(path: Path) -> tuple[str, ...]:
    """The phrases of a text file: one a line, blank lines and those that begin with # left out.

    Raises `SuiteError`.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise SuiteError(f"there is no file {path}; it is to have one phrase a line") from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    kept = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    kept = [(number, line) for number, line in kept if line and not line.startswith(COMMENT)]
    if not kept:
        raise SuiteError(f"{path} has no phrase; write one a line (lines that begin with # are comments)")
    phrases = [line for _, line in kept]
    check_phrases(phrases, lambda index: f"{path}:{kept[index][0]}")
    return tuple(phrases)


def check_phrases(phrases: Sequence[str], where: Callable[[int], str]) -> None:
    """Refuse what cannot be found or is there twice. `where(index)`: where a phrase stands. Raises `SuiteError`."""
    if len(phrases) > MOST:
        raise SuiteError(f"{where(MOST)}: {len(phrases):,} phrases are listed; a list has {MOST:,} at most")
    first: dict[tuple[str, ...], int] = {}
    for index, phrase in enumerate(phrases):
        _check_letters(phrase, where(index))
        words = tokenize(phrase.lower())
        if not words:
            raise SuiteError(f"{where(index)}: the phrase {phrase!r} has no word; give it one, or leave it out")
        if words in first:
            raise SuiteError(
                f"{where(index)}: the phrase {phrase!r} is there already, at {where(first[words])}; upper and lower "
                "case are alike: leave one of them out"
            )
        first[words] = index


def _check_letters(phrase: str, where: str) -> None:
    if len(phrase) > LONGEST:
        raise SuiteError(
            f"{where}: the phrase {short(phrase)!r} has {len(phrase):,} letters; a phrase has {LONGEST} at most: list "
            "the part of it that is said again and again"
        )
    if "\0" in phrase:
        raise SuiteError(f"{where}: the phrase {phrase!r} holds a NUL byte, which no answer says; take it out")
