"""TRL's form without a prompt: `chosen` and `rejected` are whole conversations; the prompt is what they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.preferences.layouts.turns import Message, is_turns, read_turns, shared

READ = ("chosen", "rejected", "winner", "rater", "group", "prompt_id", "seconds", "order")


def is_conversations(row: Mapping[str, Any]) -> bool:
    return "prompt" not in row and is_turns(row.get("chosen"))


def read_conversations(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str, str]:
    """(turns of the prompt, chosen, rejected). Raises `NotAPair`."""
    return shared(read_turns(row["chosen"], "chosen"), read_turns(row["rejected"], "rejected"))
