"""What a prompt asks, as people write it: `text`, `messages`, or TRL's `prompt`, a text or messages.

One user message is the same prompt as its text. Several turns are kept as they are, and `text` is their transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from evalkit.plumbing.as_text import as_text, texts_given
from evalkit.plumbing.transcript import transcript
from evalkit.records import Message, Prompt, Role

ASKED = ("text", "messages", "prompt")
"""The fields of which one says what is asked."""
ROLES = get_args(Role)
NO_TEXTS = ("text", "prompt", "choices", "messages", "opinion")
"""Fields that hold more than texts, or of which a number is a wrong column more often than what is asked."""
TOOLS = ("tool_calls", "tool_call_id", "function_call", "tools")


def prompt_fields(given: Any, called: Mapping[str, str] | None = None) -> Any:
    """A prompt's fields with `text`, and `messages` where there are several turns, from any of `ASKED`.

    `called`: what a field is called where the user wrote it, for errors. What is no mapping is handed back. Raises
    `ValueError` with the key and what is allowed.
    """
    if not isinstance(given, Mapping):
        return given
    given = _plainly(given)
    names = [name for name in ASKED if given.get(name) not in (None, "", [], ())]
    shown = [(called or {}).get(name, name) for name in names]
    fields = {name: value for name, value in given.items() if name not in ASKED}
    if not names:
        return _nothing_asked(given)
    if names == ["text", "messages"] and given["text"] == _transcript(_turns(given["messages"], shown[1])):
        names, shown = names[1:], shown[1:]
    if len(names) > 1:
        raise ValueError(f"found {' and '.join(shown)}; exactly one of text, messages and prompt says what is asked")
    [name], [key] = names, shown
    if name == "text" or (name == "prompt" and isinstance(given[name], str)):
        return fields | {"text": given[name]}
    turns = _turns(given[name], key)
    return fields | {"text": _transcript(turns), "messages": turns if len(turns) > 1 else ()}


def _plainly(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, numbers as their texts: of `choices` those that are answers. Raises `ValueError`."""
    fields = texts_given(given, NO_TEXTS)
    choices = fields.get("choices")
    if not isinstance(choices, Mapping):
        return fields
    for choice, share in choices.items():
        if isinstance(share, bool):
            raise ValueError(f"choices.{choice}: found {str(share).lower()}; it must be a number")
    return fields | {"choices": {as_text(choice): share for choice, share in choices.items()}}


def _nothing_asked(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse turns that are none; what has no key of `ASKED`, or an empty text, is told of as any other field is."""
    key = next((name for name in ASKED[1:] if name in given), None)
    if key is not None:
        raise ValueError(f"{key}: found {_short(given[key])}; it must hold at least one user turn")
    return given


def _transcript(turns: Sequence[Message]) -> str:
    return transcript([(turn.role, turn.content) for turn in turns])


def _turns(given: Any, key: str) -> tuple[Message, ...]:
    if not isinstance(given, list | tuple):
        raise ValueError(f"{key}: found {_short(given)}; it must be a list of turns, each {{role: ..., content: ...}}")
    turns = tuple(_turn(turn, f"{key}[{index}]") for index, turn in enumerate(given))
    for index, turn in enumerate(turns[1:], start=1):
        if turn.role == "system":
            raise ValueError(f"{key}[{index}].role: a system turn stands first or nowhere; put it before the others")
    if turns[-1].role != "user":
        raise ValueError(
            f"{key}[{len(turns) - 1}].role: the last turn is the {turns[-1].role}'s; a prompt ends with a user turn, "
            "which is then answered"
        )
    return turns


def _turn(given: Any, where: str) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}: found {_short(given)}; a turn is {{role: ..., content: ...}}")
    # Tables give every row the columns of all: what is None or empty is not there.
    fields = {str(key): value for key, value in given.items() if value not in (None, [], {})}
    tools = [key for key in fields if key in TOOLS]
    if tools or fields.get("role") in ("tool", "function"):
        raise ValueError(f"{where}: it uses tools ({tools[0] if tools else fields['role']}); prompts are text alone")
    unknown = [key for key in fields if key not in ("role", "content")]
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; a turn has role and content")
    if fields.get("role") not in ROLES:
        raise ValueError(f"{where}.role: found {_short(fields.get('role'))}; it must be one of {', '.join(ROLES)}")
    content = _content(fields.get("content"), f"{where}.content")
    if not content.strip():
        raise ValueError(f"{where}.content: it is blank; give the turn a text or leave it out")
    return Message(cast(Role, fields["role"]), content)


def _content(given: Any, where: str) -> str:
    if isinstance(given, str):
        if any("\ud800" <= sign <= "\udfff" for sign in given):
            raise ValueError(f"{where}: it holds half of a character (a lone surrogate); write the character itself")
        return given
    if isinstance(given, list | tuple):
        return _content("".join(_part(part, f"{where}[{index}]") for index, part in enumerate(given)), where)
    raise ValueError(f"{where}: found {_short(given)}; it must be text, or parts {{type: text, text: ...}}")


def _part(given: Any, where: str) -> str:
    part = {key: value for key, value in given.items() if value is not None} if isinstance(given, Mapping) else {}
    if part.get("type") == "text" and isinstance(part.get("text"), str) and len(part) == 2:
        return cast(str, part["text"])
    kind = part.get("type")
    shown = f"a part of type {kind!r}" if kind not in (None, "text") else _short(given)
    raise ValueError(
        f"{where}: found {shown}; images, sound and files are not read: each part is {{type: text, text: ...}}"
    )


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


class _AsPeopleWrite:
    """How pydantic reads a prompt, and what the JSON Schema of a suite says of it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(prompt_fields, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler(schema)
        of_prompt = handler.resolve_ref_schema(made)
        turns = {"type": "array", "minItems": 1, "items": TURN_SCHEMA}
        of_prompt["properties"]["messages"] = turns | {"description": "Turns of a conversation, in place of `text`."}
        of_prompt["properties"]["prompt"] = {
            "anyOf": [{"type": "string"}, turns],
            "description": "`text` or `messages`, as TRL's prompt-only data sets call it.",
        }
        of_prompt["required"] = ["id"]
        of_prompt["oneOf"] = [{"required": [name]} for name in ASKED]
        return made


TURN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["role", "content"],
    "additionalProperties": False,
    "properties": {
        "role": {"enum": list(ROLES)},
        "content": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["type", "text"],
                        "additionalProperties": False,
                        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                    },
                },
            ]
        },
    },
}
SuitePrompt = Annotated[Prompt, _AsPeopleWrite()]
"""A prompt as suites and configurations write it."""
