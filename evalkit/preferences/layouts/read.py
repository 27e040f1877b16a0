"""A file of preferences in any layout becomes preferences, and an account of what of it is none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted, listed
from evalkit.plumbing.typed_jsonl import Label
from evalkit.plumbing.typed_yaml import dotted, reason
from evalkit.plumbing.unread import Notice, unread_note
from evalkit.preferences.layouts import arena, conversations, hh, messages, prism, sharegpt
from evalkit.preferences.layouts.names import Layout
from evalkit.preferences.layouts.rows import records
from evalkit.preferences.layouts.turns import Message, NotAPair, check_prompt, transcript
from evalkit.preferences.preference import FIELDS, Order, Preference, Winner
from evalkit.runs.exchange.columns import Columns

Row = Mapping[str, Any]
NAMED_LINES = 3
"""Places that are named of the rows left out for one reason."""
WINNER: TypeAdapter[Winner] = TypeAdapter(Winner)
LABEL: TypeAdapter[str] = TypeAdapter(Label)
ORDER: TypeAdapter[Order] = TypeAdapter(Order)
SECONDS: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(ge=0, allow_inf_nan=False)])


@dataclass(frozen=True, slots=True)
class Reader:
    """How a layout is known and read."""

    is_one: Callable[[Row], bool]
    needed: tuple[str, ...]
    known: Collection[str]
    read: Callable[[Row], tuple[tuple[Message, ...], str, str]]


READERS: dict[Layout, Reader] = {
    "arena": Reader(arena.is_arena, ("conversation_a", "conversation_b", "winner"), arena.READ, arena.read_arena),
    "sharegpt": Reader(
        sharegpt.is_sharegpt, ("conversations", "chosen", "rejected"), sharegpt.READ, sharegpt.read_sharegpt
    ),
    "messages": Reader(messages.is_messages, ("prompt", "chosen", "rejected"), messages.READ, messages.read_messages),
    "conversations": Reader(
        conversations.is_conversations, ("chosen", "rejected"), conversations.READ, conversations.read_conversations
    ),
    "hh": Reader(hh.is_hh, ("chosen", "rejected"), hh.READ, hh.read_hh),
}


@dataclass(slots=True)
class Account:
    """What was understood of a file, and what was not."""

    path: Path
    layout: Layout
    preferences: list[Preference] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> where each row stands that is no pair for it."""

    @property
    def rows(self) -> int:
        return len(self.preferences) + sum(map(len, self.left_out.values()))

    def count(self, winner: Winner) -> int:
        return sum(preference.winner == winner for preference in self.preferences)

    @property
    def multi_turn(self) -> int:
        """Preferences whose prompt is more than one user turn."""
        return sum(bool(preference.turns) for preference in self.preferences)

    def losses(self) -> Iterator[str]:
        """A sentence for each reason for which rows are left out."""
        for why, places in self.left_out.items():
            first = listed([self._short(place) for place in places[:NAMED_LINES]])
            more = "" if len(places) <= NAMED_LINES else " first"
            yield f"{self.path}: {counted(len(places), 'row')} left out: {why} ({first}{more})"

    def _short(self, place: str) -> str:
        """Where a row stands, without the file: `line 4`, `row 4`."""
        rest = place.removeprefix(f"{self.path}").lstrip(": ")
        return f"line {rest}" if rest.isdigit() else rest


def layout_of(path: Path, columns: Columns | None = None) -> Layout:
    """The layout of a file, by its first row. Raises `RecordsError`."""
    first = next((row for _, row in records(path, columns)), {})
    if prism.is_prism(first):
        return "prism"
    return next((name for name, reader in READERS.items() if reader.is_one(first)), "own")


def read_file(
    path: Path,
    notice: Notice,
    layout: Layout | None = None,
    columns: Columns | None = None,
    group_by: str | None = None,
) -> Account:
    """All pairs of a file; rows that are none are counted by their reason.

    `group_by`: of the layout `prism`, which column of its survey is the rater's group. `columns` says which column
    holds a field. `notice` is told of columns that are not read. Raises `RecordsError` with file and line where a field
    is missing or wrong, and for a file without a single pair.
    """
    account = Account(path, layout or layout_of(path, columns))
    if group_by is not None and account.layout != "prism":
        raise RecordsError(
            f"{path}: its layout is {account.layout!r}, and only PRISM's raters are looked up in a survey. "
            "Say which column of the file itself holds the group: --columns group=COLUMN"
        )
    columns_seen: dict[str, None] = {}
    for where, pair in _pairs(path, account.layout, columns, group_by, columns_seen):
        try:
            if isinstance(pair, NotAPair):
                raise pair
            account.preferences.append(
                checked(pair) if isinstance(pair, Preference) else _preference(where, pair, account.layout)
            )
        except NotAPair as why:
            account.left_out.setdefault(str(why), []).append(where)
    if not account.preferences:
        raise RecordsError("; ".join(account.losses()) or f"{path} holds no rows; each is one pair of completions")
    if note := unread_note(str(path), columns_seen, FIELDS if account.layout == "own" else _known(account.layout)):
        notice(note)
    return account


def _pairs(
    path: Path, layout: Layout, columns: Columns | None, group_by: str | None, seen: dict[str, None]
) -> Iterator[tuple[str, Row | Preference | NotAPair]]:
    """(where, a row that is one pair, or of PRISM, whose pairs are made of several rows, the pair itself)."""

    def noted() -> Iterator[tuple[str, Row]]:
        for where, row in records(path, columns):
            seen.update(dict.fromkeys(row))
            yield where, row

    return iter(prism.prism_preferences(path, noted(), group_by)) if layout == "prism" else noted()


def _known(layout: Layout) -> Collection[str]:
    if layout == "prism":
        return prism.READ
    return READERS[layout].known


def _preference(where: str, row: Row, layout: Layout) -> Preference:
    if layout == "own":
        return checked(typed(where, row))
    reader = READERS[layout]
    missing = next((name for name in reader.needed if name not in row), None)
    if missing is not None:
        raise RecordsError(
            f"{where}: {missing}: this key is missing; the layout {layout!r} has {', '.join(reader.needed)}"
        )
    turns, chosen, rejected = reader.read(row)
    check_prompt(turns)
    winner = arena.winner_of(row) if layout == "arena" else _field(where, row, "winner", WINNER, "chosen")
    several = turns if len(turns) > 1 else ()
    order, seconds = _field(where, row, "order", ORDER, None), _field(where, row, "seconds", SECONDS, None)
    rater = _field(where, row, "judge" if layout == "arena" and "rater" not in row else "rater", LABEL, None)
    group, prompt_id = (_field(where, row, name, LABEL, None) for name in ("group", "prompt_id"))
    return checked(
        Preference(transcript(turns), chosen, rejected, rater, group, prompt_id, winner, several, seconds, order)
    )


def _field(where: str, row: Row, name: str, adapter: TypeAdapter[Any], default: Any) -> Any:
    if row.get(name) is None:
        return default
    try:
        return adapter.validate_python(row[name])
    except ValidationError as error:
        raise RecordsError(f"{where}: {name}: {reason(error.errors()[0])}") from None


def typed(where: str, row: Row) -> Preference:
    """A row of our own form. Raises `RecordsError` with file, line and key."""
    if "prompt" not in row and isinstance(row.get("chosen"), str) and isinstance(row.get("rejected"), str):
        raise RecordsError(
            f"{where}: prompt: this key is missing, and two texts do not tell where the prompt ends and the answers "
            "begin (what they share may be part of both answers); give `prompt`, or message lists"
        )
    try:
        given = {key: value for key, value in row.items() if key in FIELDS}
        return OWN.validate_python({key: value for key, value in given.items() if value or key not in MAY_BE_NULL})
    except ValidationError as error:
        problem = error.errors()[0]
        found = f"; found: {', '.join(map(repr, row)) or 'none'}" if problem["type"].startswith("missing") else ""
        raise RecordsError(f"{where}: {dotted(problem['loc'])}: {reason(problem)}{found}") from None


MAY_BE_NULL = ("winner", "order")
"""As tables and other programs write what a row does not have."""
OWN: TypeAdapter[Preference] = TypeAdapter(Preference)


def checked(preference: Preference) -> Preference:
    """A pair that something can be learned from. Raises `NotAPair`."""
    chosen, rejected = preference.chosen.strip(), preference.rejected.strip()
    if not preference.prompt.strip():
        raise NotAPair("the prompt is empty")
    if not chosen or not rejected:
        raise NotAPair("an answer is empty")
    if chosen == rejected:
        raise NotAPair("the two answers are the same")
    return preference
