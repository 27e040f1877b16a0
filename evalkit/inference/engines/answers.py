"""What a server answered, read with distrust: only what is a completion becomes one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalkit.checkpoints.clients import one_line
from evalkit.errors import EngineError
from evalkit.records import FinishReason

REASONS: Mapping[str, FinishReason] = {"length": "length", "content_filter": "withheld"}
"""`finish_reason` -> how a completion ended, where it did not end by itself."""
IDS = range(2**31)
"""What a token id may be, and a number of tokens."""
ROUNDING = 1e-3
"""By how much a log-prob may be above 0."""


class BadAnswer(EngineError):  # noqa: N818 (it is the answer that is bad)
    """An answer with status 200 that is no answer, in words that follow the server's name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One completion as a server gave it."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    thinking: str | None
    thinking_tokens: int | None = None
    """As the usage of an answer with a single choice tells them: of several it tells the sum."""


def read_body(content: bytes) -> Mapping[str, Any]:
    """The JSON object that an answer is. Raises `BadAnswer`."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        start = one_line(content[:200].decode("utf-8", "replace"))
        raise BadAnswer(f"answered what is no JSON: {start!r}") from None
    if not isinstance(body, Mapping):
        raise BadAnswer(f"answered {type(body).__name__} where the API has an object")
    if body.get("error"):
        raise BadAnswer(f"answered with an error: {one_line(json.dumps(body['error']))}")
    return body


def read_usage(body: Mapping[str, Any]) -> tuple[int, int] | None:
    """Prompt and completion tokens of a request; None where the server does not count them."""
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    return None if prompt is None or completion is None else (prompt, completion)


def read_choices(body: Mapping[str, Any], chats: bool) -> list[Choice]:
    """All of an answer's choices that are completions, at least one. Raises `BadAnswer`."""
    given = body.get("choices")
    if not isinstance(given, list) or not given:
        raise BadAnswer("answered without any choice")
    choices = [choice for choice in (_choice(one, chats) for one in given) if choice is not None]
    if not choices:
        reasons = sorted({str(one.get("finish_reason")) for one in given if isinstance(one, Mapping)})
        raise BadAnswer(f"answered without any text (finish_reason {', '.join(reasons) or 'not given'})")
    return [replace(choices[0], thinking_tokens=_reasoning_tokens(body))] if len(given) == 1 else choices


def _reasoning_tokens(body: Mapping[str, Any]) -> int | None:
    usage = body.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, Mapping) else None
    return count_of(details.get("reasoning_tokens")) if isinstance(details, Mapping) else None


def _choice(given: Any, chats: bool) -> Choice | None:
    if not isinstance(given, Mapping):
        return None
    message = given.get("message") if chats else {"content": given.get("text")}
    if not isinstance(message, Mapping):
        return None
    text, thinking = message.get("content"), _thinking(message) if chats else None
    reason = REASONS.get(str(given.get("finish_reason")), "stop")
    if text is None and (thinking is not None or reason == "withheld"):
        text = ""  # it came to no answer
    if not isinstance(text, str):
        return None
    return Choice(text, _token_ids(given.get("token_ids")), _logprobs(given.get("logprobs")), reason, thinking)


def _thinking(message: Mapping[str, Any]) -> str | None:
    """What servers that tell thinking apart call `reasoning_content`, newer ones `reasoning`."""
    told = (message.get(name) for name in ("reasoning_content", "reasoning"))
    return next((text for text in told if isinstance(text, str) and text), None)


def _token_ids(given: Any) -> tuple[int, ...]:
    ids = given if isinstance(given, list) else []
    return tuple(ids) if all(type(one) is int and one in IDS for one in ids) else ()


def _logprobs(given: Any) -> tuple[float, ...]:
    """Of chats a list of objects, of completions a list of numbers; none where one of them is not told."""
    if not isinstance(given, Mapping):
        return ()
    tokens, numbers = given.get("content"), given.get("token_logprobs")
    if isinstance(tokens, list):
        numbers = [token.get("logprob") for token in tokens if isinstance(token, Mapping)]
    if not isinstance(numbers, list) or not all(_is_logprob(one) for one in numbers):
        return ()
    return tuple(map(float, numbers))


def _is_logprob(value: Any) -> bool:
    return type(value) in (int, float) and -IDS.stop < value <= ROUNDING and not math.isnan(value)


def count_of(value: Any) -> int | None:
    """A number of tokens as a server tells it; None where it is none."""
    return value if type(value) is int and value in IDS else None
