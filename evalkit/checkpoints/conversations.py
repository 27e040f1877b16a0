"""A prompt's turns as a checkpoint is asked them: a transcript for base ones, messages for a chat template."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.errors import CheckpointError
from evalkit.records import Message, Prompt

ROLE_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
"""How a transcript calls them."""


def in_transcript(frame: Frame, turns: Sequence[Message]) -> str:
    """A base checkpoint's text for a conversation, the assistant's next turn left open.

    Worked examples go before it as conversations of two turns, a blank line behind each.
    """
    shots = [
        "\n".join((_turn(frame, "user", shot.prompt), _turn(frame, "assistant", shot.completion)))
        for shot in frame.examples
    ]
    dialogue = "\n".join([*(_turn(frame, turn.role, turn.content) for turn in turns), turn_opening(frame, "assistant")])
    return "\n\n".join([*shots, dialogue])


def turn_opening(frame: Frame, role: str) -> str:
    """What a transcript writes before a turn of `role`, without white space behind it."""
    return frame.transcript.split("{content}")[0].replace("{role}", ROLE_NAMES[role]).rstrip()


def turn_ends(frame: Frame) -> tuple[str, ...]:
    """What ends an answer in a transcript: the next turn of anybody else; nothing where turns show no role."""
    openings = [turn_opening(frame, role) for role in ("user", "system")]
    return tuple(dict.fromkeys(f"\n{opening}" for opening in openings if opening))


def _turn(frame: Frame, role: str, content: str) -> str:
    return frame.transcript.replace("{role}", ROLE_NAMES[role]).replace("{content}", content)


def chat_turns(name: str, spec: CheckpointSpec, prompt: Prompt) -> tuple[tuple[str, str], ...]:
    """(role, content) pairs that checkpoint `name` is asked with its own `system`.

    Raises `CheckpointError` when prompt and checkpoint both have a system turn: which of them holds is not for us to
    choose.
    """
    prompt_turns = [(turn.role, turn.content) for turn in prompt.turns]
    if spec.system and prompt_turns[0][0] == "system":
        raise CheckpointError(
            f"prompt {prompt.id!r} has a system turn, and checkpoint {name!r} a `system` message: only one can "
            "be said; leave one of the two out"
        )
    turns = [("system", spec.system), *prompt_turns] if spec.system else prompt_turns
    return tuple(merged(turns) if spec.system_into_user else turns)


def merged(turns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The system turn, if any, as the beginning of the first user turn, a blank line behind it."""
    if turns[0][0] != "system":
        return list(turns)
    [(_, system), *others] = turns
    first = next(index for index, (role, _) in enumerate(others) if role == "user")
    others[first] = ("user", f"{system}\n\n{others[first][1]}")
    return others
