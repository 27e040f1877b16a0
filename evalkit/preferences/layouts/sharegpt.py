"""ShareGPT: `conversations` of `from` and `value`, and beside them `chosen` and `rejected`, one such turn each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.preferences.layouts.turns import Message, answer, read_turns

READ = ("conversations", "chosen", "rejected", "winner", "rater", "group", "prompt_id", "seconds", "order")


def is_sharegpt(row: Mapping[str, Any]) -> bool:
    return {"conversations", "chosen", "rejected"} <= set(row)


def read_sharegpt(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str, str]:
    """(turns of the prompt, chosen, rejected). Raises `NotAPair`."""
    return read_turns(row["conversations"], "conversations"), _said(row, "chosen"), _said(row, "rejected")


def _said(row: Mapping[str, Any], field: str) -> str:
    given = row[field]
    if isinstance(given, str) and not given.lstrip().startswith(("{", "[")):
        return given
    return answer(read_turns(given, field))
