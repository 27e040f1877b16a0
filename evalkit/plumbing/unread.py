"""Columns of a file that nothing reads: a mistyped key must not be a setting that silently never was."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable

from evalkit.plumbing.did_you_mean import did_you_mean

Notice = Callable[[str], None]
"""Told, in a line, what the user should know."""
LISTED = 12
"""Columns that are named; data sets have hundreds."""


def say(text: str) -> None:
    """A note on standard error: where it goes when nobody listens."""
    sys.stderr.write(f"note: {text}\n")


def unread_note(where: str, columns: Iterable[str], known: Collection[str]) -> str | None:
    """What of a file's columns is not read, in a line; None where all are."""
    left = [column for column in dict.fromkeys(columns) if column not in known]
    if not left:
        return None
    more = f" and {len(left) - LISTED} more" if len(left) > LISTED else ""
    named = ", ".join(f"{column!r}{did_you_mean(column, known)}" for column in left[:LISTED])
    return f"{where}: not read: {named}{more}; read: {', '.join(known)}"
