"""Conversations: turns of a role and a text, what two of them share, and how they are written as one text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from evalkit.plumbing.prose import listed
from evalkit.records import Message as Turn
from evalkit.records import Role

Message = tuple[str, str]
"""(role, text)."""
ROLES = ("system", "user", "assistant")
SHAREGPT = {"human": "user", "gpt": "assistant", "system": "system", "user": "user", "assistant": "assistant"}
"""What `from` says in ShareGPT's turns -> the role."""


class NotAPair(Exception):  # noqa: N818 (a state of affairs: the row is counted, not refused)
    """Why a row gives no pair; rows of one reason are counted together."""


def is_turns(value: Any) -> bool:
    """Whether it is a message list, also as the JSON that a spreadsheet's cell holds."""
    return isinstance(value, list) or (isinstance(value, str) and value.lstrip().startswith('[{"'))


def read_turns(given: Any, field: str) -> tuple[Message, ...]:
    """Turns of a message list, of a single message, or of JSON that holds one. Raises `NotAPair`."""
    if isinstance(given, str):
        given = _parsed(given, field)
    if isinstance(given, dict):
        given = [given]
    if not isinstance(given, list):
        raise NotAPair(f"{field} is no message list, a list of objects with role and content")
    turns = tuple(_turn(message, field) for message in given if message is not None)
    if not turns:
        raise NotAPair(f"{field} is an empty message list")
    return turns


def shared(chosen: Sequence[Message], rejected: Sequence[Message]) -> tuple[tuple[Message, ...], str, str]:
    """The turns that two conversations share, and the answer with which each ends. Raises `NotAPair`."""
    if tuple(chosen) == tuple(rejected):
        raise NotAPair("the two answers are the same")
    common = 0
    while common < min(len(chosen), len(rejected)) and chosen[common] == rejected[common]:
        common += 1
    if common == 0:
        raise NotAPair("the two conversations share no prompt")
    if len(chosen) != common + 1 or len(rejected) != common + 1:
        raise NotAPair("the conversations part before their last answers")
    return tuple(chosen[:common]), answer(chosen[common:]), answer(rejected[common:])


def answer(turns: Sequence[Message]) -> str:
    """The text of a single turn of the assistant's. Raises `NotAPair`."""
    if len(turns) != 1:
        raise NotAPair("an answer is of several turns")
    [(role, text)] = turns
    if role != "assistant":
        raise NotAPair(f"roles out of order: an answer is the {role}'s")
    return text


def messages_of(turns: Sequence[Message]) -> tuple[Turn, ...]:
    """(role, text)s as prompts have them."""
    return tuple(Turn(cast(Role, role), text) for role, text in turns)


def check_prompt(turns: Sequence[Message]) -> None:
    """See that turns are those of a prompt: perhaps a system's, then user and assistant in turn, the user last.

    Raises `NotAPair`.
    """
    roles = [role for role, _ in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    expected = [("user", "assistant")[index % 2] for index in range(len(spoken))]
    if len(spoken) % 2 == 0 or spoken != expected:
        raise NotAPair("roles out of order: a prompt is user and assistant in turn and ends with the user")
    if not turns[-1][1].strip():
        raise NotAPair("the prompt is empty")


def transcript(turns: Sequence[Message]) -> str:
    """A conversation as one text: the one user turn's own, else `User: ...` and `Assistant: ...`, a blank line between.

    How a reward model without a chat template reads it.
    """
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in turns)


def _parsed(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotAPair(f"{field} is a text where other rows have a message list") from None


def _turn(message: Any, field: str) -> Message:
    if not isinstance(message, dict):
        raise NotAPair(f"{field} holds a message that is no object with role and content")
    if message.get("role") is None and "from" in message:
        role, content = SHAREGPT.get(str(message["from"])), message.get("value")
    else:
        role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise NotAPair(f"{field} holds a role that is none of {listed(ROLES)}")
    return str(role), _text(content, field)


def _text(content: Any, field: str) -> str:
    """A message's content: a text, or parts of text; data sets may add `None`s to both."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise NotAPair(f"{field} holds a message whose content is neither a text nor a list of parts")
    return "".join(_part(part, field) for part in content if part is not None)


def _part(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise NotAPair(f"{field} holds a part that is no text, such as an image")
    return str(part["text"])
