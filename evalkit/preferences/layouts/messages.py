"""TRL's conversational form: `prompt`, and `chosen` and `rejected` as message lists; ours where a prompt has turns.

`prompt` is a text or a message list. Some data sets repeat it in front of both answers; then it is what these share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.preferences.layouts.turns import Message, NotAPair, answer, is_turns, read_turns, shared

READ = ("prompt", "chosen", "rejected", "winner", "rater", "group", "prompt_id", "seconds", "order")


def is_messages(row: Mapping[str, Any]) -> bool:
    return "prompt" in row and any(is_turns(row.get(field)) for field in ("prompt", "chosen", "rejected"))


def read_messages(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str, str]:
    """(turns of the prompt, chosen, rejected). Raises `NotAPair`."""
    prompt = _prompt(row["prompt"])
    if isinstance(row["chosen"], str) and isinstance(row["rejected"], str) and not is_turns(row["chosen"]):
        return prompt, row["chosen"], row["rejected"]
    chosen, rejected = read_turns(row["chosen"], "chosen"), read_turns(row["rejected"], "rejected")
    if chosen[0][0] == "assistant" and rejected[0][0] == "assistant":
        return prompt, answer(chosen), answer(rejected)
    turns, better, worse = shared(chosen, rejected)
    if not _ends_with(turns, prompt):
        raise NotAPair("the prompt is another than the one that both conversations share")
    return turns, better, worse


def _prompt(given: Any) -> tuple[Message, ...]:
    return (("user", given),) if isinstance(given, str) and not is_turns(given) else read_turns(given, "prompt")


def _ends_with(turns: tuple[Message, ...], prompt: tuple[Message, ...]) -> bool:
    """Whether a conversation asks what a prompt does, perhaps after a system message or earlier turns."""
    stripped = [(role, text.strip()) for role, text in turns]
    return stripped[-len(prompt) :] == [(role, text.strip()) for role, text in prompt] or stripped[0][1] == (
        prompt[0][1].strip()
    )
