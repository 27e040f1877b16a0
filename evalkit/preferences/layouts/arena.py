"""Votes of an arena: two models' conversations, and a `winner`: model_a, model_b, tie or both_bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from evalkit.preferences.layouts.turns import Message, NotAPair, read_turns, shared

READ = (
    "conversation_a",
    "conversation_b",
    "winner",
    "judge",
    "rater",
    "group",
    "prompt_id",
    "model_a",
    "model_b",
    "seconds",
    "order",
)
TIES: dict[str, Literal["tie", "both_bad"]] = {
    "tie": "tie",
    "both_bad": "both_bad",
    "bothbad": "both_bad",
    "tie (bothbad)": "both_bad",
}


def is_arena(row: Mapping[str, Any]) -> bool:
    return "winner" in row and {"conversation_a", "conversation_b"} <= set(row)


def read_arena(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str, str]:
    """(turns of the prompt, chosen, rejected); of a tie, a's answer stands first. Raises `NotAPair`."""
    winner_of(row)
    turns, a, b = shared(
        read_turns(row["conversation_a"], "conversation_a"), read_turns(row["conversation_b"], "conversation_b")
    )
    return (turns, b, a) if row["winner"] == "model_b" else (turns, a, b)


def winner_of(row: Mapping[str, Any]) -> Literal["chosen", "tie", "both_bad"]:
    """Who won. Raises `NotAPair`."""
    winner = row["winner"]
    if winner in ("model_a", "model_b"):
        return "chosen"
    if not isinstance(winner, str) or winner not in TIES:
        raise NotAPair("winner is none of model_a, model_b, tie and both_bad")
    return TIES[winner]
