"""A conversation as one text, the same wherever one is shown, hashed, or put to a judge."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any


def transcript(turns: Sequence[tuple[str, str]]) -> str:
    """(role, content) pairs as text: one user turn's own, else `role: content` of each, a blank line between."""
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role}: {content}" for role, content in turns)


TURNS = re.compile(r"""\s*\[\s*\{\s*["']role["']\s*:""")
"""How a cell begins that holds turns, be it as JSON or as Python shows a list."""


def turns_in_cell(cell: str) -> list[Any]:
    """The turns that a table's cell holds as JSON; none where it is a text, even one that begins with a bracket.

    Raises `ValueError` on turns that are no JSON.
    """
    if not cell.lstrip().startswith("["):
        return []
    try:
        turns = json.loads(cell)
    except (ValueError, RecursionError):
        if TURNS.match(cell):
            raise ValueError(
                "the cell begins like a list of turns and is no JSON; write such cells by json.dumps, not by str"
            ) from None
        return []
    return turns if all(isinstance(turn, dict) and "role" in turn for turn in turns) else []


def is_turns(text: str) -> bool:
    """Whether a table's reader would take a text for turns."""
    return TURNS.match(text) is not None
