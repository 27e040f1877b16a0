"""What every layout is read as: one row a completion; and what of a file could not be read, with its reason."""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import MetricError, RecordsError
from evalkit.metrics.answer_match import check_answer
from evalkit.plumbing.as_text import as_text
from evalkit.plumbing.prose import counted, whole_characters
from evalkit.plumbing.tables import Record as Record
from evalkit.plumbing.transcript import transcript, turns_in_cell
from evalkit.records import Asking, FinishReason, Item, Match, Prompt

Message = tuple[str, str]
"""(role, content)."""
LARGEST = 1e150
"""Size of the largest score that is read: squares of larger ones, in variances, are beyond what a float holds."""
CUT = ("length", "max_tokens", "model_length", "MAX_TOKENS")
"""What tools say of an answer that ran into a limit."""


@dataclass(frozen=True, slots=True)
class AskedRow:
    """How a run of evalkit's asked for a completion, and where in what was drawn it stands."""

    asking: Asking
    n: int
    """Answers that the run measures of each prompt."""
    item: Item


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
    valid: tuple[str, ...] | str = ()
    cluster: str | None = None
    tags: tuple[str, ...] = ()
    thinking: str | None = None
    """What the model thought before its answer, where the file has it apart."""
    finish_reason: FinishReason = "stop"
    scores: Mapping[str, float] = field(default_factory=dict)
    """What the tool says of this completion."""
    prompt_scores: Mapping[str, float] = field(default_factory=dict)
    """What it says of all of the prompt's completions together."""
    question: str | None = None
    """What tells the question apart from its rendering, where the file has such a hash."""
    said: str | None = None
    """The class of completions of its prompt that say the same, as the file divides them."""
    asked: AskedRow | None = None
    """Where an evalkit run asked for it in another way than directly."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Rows go to disk and back again and again, and the way of frozen dataclasses takes five times as long.
        return TextRow, tuple(getattr(self, name) for name in TextRow.__slots__)


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

    broken: list[str] = field(default_factory=list)
    """Where texts stand that hold half of a character."""

    unscored: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Score -> in how many rows it is no number, and the first that it is instead."""

    def refuse_score(self, name: str, value: Any) -> None:
        """Count a score that is no number; none at all, as tables have it in empty cells, is none."""
        if value is not None:
            count, first = self.unscored.get(name, (0, short(value)))
            self.unscored[name] = count + 1, first

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
        if self.broken:
            yield (
                f"{self.source}: half of a character (a lone surrogate) is replaced by \ufffd in "
                f"{counted(len(self.broken), 'completion')} (first: {self.broken[0]})"
            )
        for name, (count, first) in self.unscored.items():
            rows = counted(count, "row")
            yield f"{self.source}: score {name!r} is not read in {rows}, where it is no number, as in {first}"
        for what, why in self.unread.items():
            yield f"{self.source}: {what} {why}"


def as_whole_text(row: TextRow, tally: Tally) -> TextRow:
    """The row with a sign for each half of a character, which is no text; that is counted."""
    prompt, completion = whole_characters(row.prompt), whole_characters(row.completion)
    thinking = None if row.thinking is None else whole_characters(row.thinking)
    if (prompt, completion, thinking) == (row.prompt, row.completion, row.thinking):
        return row
    tally.broken.append(row.where)
    return replace(row, prompt=prompt, completion=completion, thinking=thinking)


def content_text(content: Any, where: str) -> str:
    """A message's content as text: a string, or a list of parts of which those of text count.

    Raises `RecordsError`.
    """
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(_part_text(part, where) for part in content if part is not None)
    raise RecordsError(f"{where}: a message's content is {short(content)}; it must be a text or a list of parts")


def thought_in(content: Any) -> str | None:
    """What the reasoning parts of a message's content say."""
    if not isinstance(content, list):
        return None
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "reasoning"]
    return "\n".join(_thought(part) for part in parts) if parts else None


def _thought(part: Mapping[str, Any]) -> str:
    """What a reasoning part says; of one that the provider encrypted, its summary."""
    plain = None if part.get("redacted") else part.get("reasoning")
    return str(plain or part.get("summary") or "")


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
    """(role, content) pairs of a message list; nulls in it, as tables add them, say nothing. Raises `RecordsError`."""
    given = [message for message in messages if message is not None] if isinstance(messages, list) else []
    if not given:
        raise RecordsError(f"{where}: expected a list of messages, each with role and content; found {short(messages)}")
    pairs = []
    for message in given:
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


def with_turns(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A table's row with the turns that the cells of prompt and completion hold as JSON. Raises `RecordsError`."""
    found = dict(row)
    for key in ("prompt", "completion"):
        if isinstance(found.get(key), str):
            try:
                found[key] = turns_in_cell(found[key]) or found[key]
            except ValueError as error:
                raise RecordsError(f"{where}: {key}: {error}") from None
    return found


def id_of(*texts: str) -> str:
    """The id of a prompt that the file gives none: a hash of what is asked, the same in every file."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def id_in(value: Any, key: str, where: str) -> str:
    """An id as text: a text that is not blank, or a number. Raises `RecordsError` on anything else."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_number = is_whole or (isinstance(value, float) and math.isfinite(value))
    if is_number or (isinstance(value, str) and value.strip()):
        return str(as_text(value))
    raise RecordsError(f"{where}: {key} is {short(value)}; it must be a text or a number, by which rows are paired")


def answer_in(target: Any) -> str | None:
    """The right answer as a tool tells it; None where it tells none, or one that no completion can be held against."""
    if isinstance(target, bool) or not isinstance(target, str | int | float):
        return None
    try:
        check_answer(Prompt("target", "", answer=str(target)))
    except MetricError:
        return None
    return str(target)


def other_parts(messages: Any) -> str:
    """The kind of the first part of a message list that is no text, such as `image_url`; empty where all are."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") != "reasoning" and not isinstance(part.get("text"), str):
                return str(part.get("type", "part"))
    return ""


def as_number(value: Any, name: str, where: str) -> float | None:
    """A score as a number; None where it is none, or not a finite one. Raises `RecordsError` beyond `LARGEST`."""
    if not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number that no float can hold
        number = LARGEST * 2
    if math.isfinite(number) and abs(number) > LARGEST:
        raise RecordsError(
            f"{where}: score {name!r} is {short(value, 24)}; allowed are scores from {-LARGEST:g} to {LARGEST:g}, "
            "whose squares a float can hold: give it in a larger unit, or leave it out"
        )
    return number if math.isfinite(number) else None


def scores_in(given: Mapping[str, Any], tally: Tally, where: str) -> dict[str, float]:
    """The scores that are numbers; the others are counted. Raises `RecordsError` as `as_number` does."""
    scores = {}
    for name, value in given.items():
        number = as_number(value, name, where)
        if number is not None:
            scores[score_name(name)] = number
        else:
            tally.refuse_score(name, value)
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


def asked_of(given: Any, where: str) -> AskedRow | None:
    """How a completion was asked for, as `evalkit export` wrote it. Raises `RecordsError` on what is none."""
    if given is None:
        return None
    try:
        return TypeAdapter(AskedRow).validate_python(given)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(["asked", *map(str, problem["loc"])])
        raise RecordsError(f"{where}: {place}: {problem['msg']}; `evalkit export` writes this key") from None
