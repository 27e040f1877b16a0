"""The name that was meant, where one that is not known is like it."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST_START = 3
"""Letters of which a name is taken for the start of a longer one; fewer begin too many."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that begins with `name`, the shortest of several; else the one spelled most like it, if any."""
    from difflib import get_close_matches  # not needed until a name is wrong, and `evalkit --help` must be quick

    names = list(known)
    begun = [other for other in names if len(name) >= SHORTEST_START and other.startswith(name.casefold())]
    close = sorted(begun, key=len) or get_close_matches(name, names, n=1)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'tags'?)`; empty where no known name is like it."""
    close = nearest(name, known)
    return "" if close is None else f" (did you mean {close!r}?)"
