"""What every layout is read as: one row a completion; and what of a file could not be read, with its reason."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted
from evalkit.plumbing.transcript import transcript
from evalkit.records import FinishReason, Match

Message = tuple[str, str]
"""(role, content)."""
Record = tuple[str, dict[str, Any]]
"""Where it stands (`file:line`), and one object of a file of rows."""
CUT = ("length", "max_tokens", "model_length", "MAX_TOKENS")
"""What tools say of an answer that ran into a limit."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """One completion that was made elsewhere."""

    where: str
    """`file:line`, or how a place in that kind of file is called."""
    prompt_id: str
    prompt: str
    """As text; a conversation with its roles where it has more than one user turn."""
    completion: str
    arm: str | None = None
    """Model or arm as the file names it; None where it names none."""
    messages: tuple[Message, ...] = ()
    """The prompt's turns, where the file has it as turns."""
    answer: str | None = None
    match: Match = "exact"
    references: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    cluster: str | None = None
    thinking: str | None = None
    """What the model thought before its answer, where the file has it apart."""
    finish_reason: FinishReason = "stop"
    scores: Mapping[str, float] = field(default_factory=dict)
    """What the tool says of this completion."""
    prompt_scores: Mapping[str, float] = field(default_factory=dict)
    """What it says of all of the prompt's completions together."""
    question: str | None = None
    """What tells the question apart from its rendering, where the file has such a hash."""
    said: int | None = None
    """The class of completions that say the same, as the tool divides them."""


@dataclass(slots=True)
class Tally:
    """What was found in one file: nothing is left out in silence."""

    source: str
    read: int = 0
    """Completions."""
    left: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> where what was left out for it stands."""
    unread: dict[str, str] = field(default_factory=dict)
    """What of the rows that are read is not: what it is -> why, in words."""

    def leave(self, reason: str, where: str) -> None:
        """Count a row that gives no completion."""
        self.left.setdefault(reason, []).append(where)

    def skip(self, what: str, why: str) -> None:
        """Note a part of rows that is not read; once for all rows."""
        self.unread.setdefault(what, why)

    @property
    def lost(self) -> int:
        return sum(map(len, self.left.values()))

    def sentences(self) -> Iterator[str]:
        """What a reader must know of the file."""
        for reason, places in self.left.items():
            yield (
                f"{self.source}: {counted(len(places), 'row')} left out beside {counted(self.read, 'completion')}: "
                f"{reason} (first: {places[0]})"
            )
        for what, why in self.unread.items():
            yield f"{self.source}: {what} {why}"


def content_text(content: Any, where: str) -> str:
    """A message's content as text: a string, or a list of parts of which those of text count.

    Raises `RecordsError`.
    """
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(_part_text(part, where) for part in content)
    raise RecordsError(f"{where}: a message's content is {short(content)}; it must be a text or a list of parts")


def thought_in(content: Any) -> str | None:
    """What the reasoning parts of a message's content say."""
    if not isinstance(content, list):
        return None
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "reasoning"]
    return "\n".join(str(part.get("reasoning") or part.get("summary") or "") for part in parts) or None


def _part_text(part: Any, where: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise RecordsError(f"{where}: a part of a message is {type(part).__name__}; each is a text or an object")
    if part.get("type") == "reasoning":
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else f"[{part.get('type', 'part')}]"


def turns(messages: Any, where: str) -> tuple[Message, ...]:
    """(role, content) pairs of a message list. Raises `RecordsError`."""
    if not isinstance(messages, list) or not messages:
        raise RecordsError(f"{where}: expected a list of messages, each with role and content; found {short(messages)}")
    pairs = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RecordsError(f"{where}: a message is {short(message)}; each has role and content")
        pairs.append((message["role"], content_text(message.get("content"), where)))
    return tuple(pairs)


def conversation(messages: Sequence[Message]) -> str:
    """The prompt as text: the one user turn's own, else all turns with their roles."""
    return transcript(messages)


def asked_in(prompt: Any, where: str) -> tuple[str, tuple[Message, ...]]:
    """A prompt that is a text or a list of messages, as text and as turns. Raises `RecordsError`."""
    if isinstance(prompt, str):
        return prompt, ()
    messages = turns(prompt, where)
    return conversation(messages), messages


def id_of(*texts: str) -> str:
    """The id of a prompt that the file gives none: a hash of what is asked, the same in every file."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def as_number(value: Any) -> float | None:
    """A score as a number; None where it is none, or not a finite one."""
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def scores_in(given: Mapping[str, Any], tally: Tally) -> dict[str, float]:
    """The scores that are numbers; the others are noted."""
    scores = {}
    for name, value in given.items():
        number = as_number(value)
        if number is not None:
            scores[score_name(name)] = number
        elif value is not None:
            tally.skip(f"score {name!r}", f"is not read where it is no number, as in {short(value)}")
    return scores


def score_name(name: str) -> str:
    """A score's name as the name of a measure can hold it: `|` and `,` have another meaning there."""
    return name.replace("|", "/").replace(",", "/").strip()


def ending(reason: Any) -> FinishReason:
    """How a completion ended, from what tools call it."""
    return "length" if reason in CUT else "stop"


def short(value: Any, most: int = 60) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
