"""Small words of sentences: lists, counts, capitals, and texts cut short."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNSHOWABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL, which HTML forbids, and lone surrogates, which are not text."""

SURROGATE = re.compile("[\ud800-\udfff]")


def whole_characters(text: str) -> str:
    """The text with a visible sign in place of each lone surrogate, half of a character."""
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


def showable(text: str) -> str:
    """The text with a visible sign where a UTF-8 page could not hold a character."""
    return UNSHOWABLE.sub("\ufffd", text)


def short(text: str, most: int = 40) -> str:
    """The text, or its beginning where there is little room."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def listed(parts: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, final = parts
    return f"{', '.join(most)} {last} {final}" if most else final


def capital(sentence: str) -> str:
    """The sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
