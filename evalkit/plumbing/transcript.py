"""A conversation as one text, the same wherever one is shown, hashed, or put to a judge."""

from __future__ import annotations

from collections.abc import Sequence


def transcript(turns: Sequence[tuple[str, str]]) -> str:
    """(role, content) pairs as text: one user turn's own, else `role: content` of each, a blank line between."""
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role}: {content}" for role, content in turns)
