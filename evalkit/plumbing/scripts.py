"""In which script texts are written, as far as letters tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import regex

LOOKED_AT = 200
"""Letters of a text that are looked at; which script it is in, the first ones say."""
MAIN = 0.5
"""Share of all letters above which a script is the one that texts are written in."""
SCRIPTS = {
    "Latin letters": r"\p{Latin}",
    "Chinese characters or kana": r"[\p{Han}\p{Hiragana}\p{Katakana}]",
    "Hangul": r"\p{Hangul}",
    "Cyrillic letters": r"\p{Cyrillic}",
    "Greek letters": r"\p{Greek}",
    "Arabic letters": r"\p{Arabic}",
    "Hebrew letters": r"\p{Hebrew}",
    "Devanagari": r"\p{Devanagari}",
    "Bengali letters": r"\p{Bengali}",
    "Tamil letters": r"\p{Tamil}",
    "Thai letters": r"\p{Thai}",
}
_PATTERNS = {name: regex.compile(pattern) for name, pattern in SCRIPTS.items()}


def main_script(texts: Iterable[str]) -> str:
    """The script of more than half of all letters; empty where there is none, or it is none of `SCRIPTS`."""
    return main_of(letters_by_script(texts))


def letters_by_script(texts: Iterable[str]) -> Counter[str]:
    """How many letters of each of `SCRIPTS`, of those that are looked at."""
    counts: Counter[str] = Counter()
    for text in texts:
        seen = text[:LOOKED_AT]
        if seen.isascii():
            counts["Latin letters"] += sum(map(str.isalpha, seen))
        else:
            counts.update({name: len(pattern.findall(seen)) for name, pattern in _PATTERNS.items()})
    return counts


def main_of(counts: Counter[str]) -> str:
    """The script of more than half of these letters."""
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    return name if count > MAIN * counts.total() else ""
