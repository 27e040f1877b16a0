r"""Anthropic's HH: `chosen` and `rejected` are one text each, turns after `\n\nHuman:` and `\n\nAssistant:`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evalkit.preferences.layouts.turns import Message, NotAPair, shared

READ = ("chosen", "rejected", "winner", "rater", "group", "prompt_id", "seconds", "order")
MARK = re.compile(r"(?:^|\n\n)(Human|Assistant):")
ROLE = {"Human": "user", "Assistant": "assistant"}


def is_hh(row: Mapping[str, Any]) -> bool:
    chosen = row.get("chosen")
    return "prompt" not in row and isinstance(chosen, str) and MARK.match(chosen.lstrip()) is not None


def read_hh(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str, str]:
    """(turns of the prompt, chosen, rejected), without white space around turns. Raises `NotAPair`."""
    return shared(_turns(row["chosen"], "chosen"), _turns(row["rejected"], "rejected"))


def _turns(text: Any, field: str) -> tuple[Message, ...]:
    if not isinstance(text, str):
        raise NotAPair(f"{field} is no text")
    before, *parts = MARK.split(text.lstrip())
    if before.strip() or not parts:
        raise NotAPair(f"{field} does not begin with `Human:`")
    return tuple((ROLE[name], said.strip()) for name, said in zip(parts[::2], parts[1::2], strict=True))
