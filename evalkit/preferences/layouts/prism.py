"""PRISM's utterances: each row a model's answer and the score that a participant gave it; several rows an interaction.

`utterances.jsonl` says who (`user_id`) gave which `score` (1 to 100) to which `model_response` to a `user_prompt`;
`survey.jsonl`, a row a participant, says who they are. Every two answers of one interaction are a preference: the one
with the higher score was chosen, equal scores are a tie. Before a later turn stand the earlier ones with the answers
that the conversation went on with (`if_chosen`). (Kirk et al. 2024; github.com/HannahKirk/prism-alignment.)
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from evalkit.errors import RecordsError
from evalkit.plumbing.arrays import is_number_in_file
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.preferences.layouts.rows import records
from evalkit.preferences.layouts.turns import Message, NotAPair, transcript
from evalkit.preferences.preference import Preference

Row = Mapping[str, Any]
NEEDED = ("user_id", "conversation_id", "interaction_id", "turn", "user_prompt", "model_response", "score", "if_chosen")
READ = (*NEEDED, "utterance_id", "within_turn_id", "model_name", "model_provider", "conversation_type",
        "included_in_balanced_subset")  # fmt: skip
"""Columns that are read, and those that are known and left."""
SURVEY = "survey.jsonl"
DOT = "."


def is_prism(row: Row) -> bool:
    return {"interaction_id", "user_prompt", "model_response", "score"} <= set(row)


def prism_preferences(
    path: Path, rows: Iterable[tuple[str, Row]], group_by: str | None
) -> Iterator[tuple[str, Preference | NotAPair]]:
    """(where, a preference or why two answers are none) of all interactions, in the file's order.

    `group_by`: a column of the survey beside the file, or of the rows themselves, whose value is the rater's group;
    `location.reside_country` is a column within a column. Raises `RecordsError` with file, line and key.
    """
    conversations: dict[Any, list[tuple[str, Row]]] = {}
    for where, row in rows:
        missing = next((name for name in NEEDED if name not in row), None)
        if missing is not None:
            raise RecordsError(
                f"{where}: {missing}: this key is missing; the layout 'prism' (utterances.jsonl) has "
                f"{', '.join(NEEDED)}"
            )
        _check(where, row)
        conversations.setdefault(row["conversation_id"], []).append((where, row))
    groups = _groups(path, group_by, conversations)
    for members in conversations.values():
        yield from _of_conversation(members, groups)


def _check(where: str, row: Row) -> None:
    """Refuse cells that are not what PRISM has there. Raises `RecordsError` with file, line and key."""
    for key in ("user_id", "conversation_id", "interaction_id"):
        if not isinstance(row[key], str | int):
            raise RecordsError(f"{where}: {key}: found {reprlib.repr(row[key])}; it must be a text or a whole number")
    if not is_number_in_file(row["turn"]):
        raise RecordsError(f"{where}: turn: found {reprlib.repr(row['turn'])}; it must be a number, 0 for the first")
    is_nan = isinstance(row["score"], float) and math.isnan(row["score"])
    if row["score"] is not None and not is_nan and not is_number_in_file(row["score"]):
        raise RecordsError(
            f"{where}: score: found {reprlib.repr(row['score'])}; it must be a number, 1 to 100, or null where the "
            "answer has none"
        )


def _of_conversation(
    members: Sequence[tuple[str, Row]], groups: Mapping[Any, str]
) -> Iterator[tuple[str, Preference | NotAPair]]:
    turns: dict[Any, list[tuple[str, Row]]] = {}
    for where, row in members:
        turns.setdefault(row["turn"], []).append((where, row))
    before: list[Message] | None = []
    for turn in sorted(turns):
        answers = turns[turn]
        for (where, a), (_, b) in combinations(answers, 2):
            yield (
                where,
                NotAPair("what was said before is not known") if before is None else _compare(before, a, b, groups),
            )
        chosen = next((row for _, row in answers if row["if_chosen"] is True), None)
        if before is not None and chosen is not None:
            before += [("user", str(chosen["user_prompt"])), ("assistant", str(chosen["model_response"]))]
        else:
            before = None


def _compare(before: Sequence[Message], a: Row, b: Row, groups: Mapping[Any, str]) -> Preference | NotAPair:
    if not (is_number_in_file(a["score"]) and is_number_in_file(b["score"])):
        return NotAPair("an answer has no score")
    if b["score"] > a["score"]:
        a, b = b, a
    turns = (*before, ("user", str(a["user_prompt"] or "")))
    return Preference(
        transcript(turns),
        str(a["model_response"] or ""),
        str(b["model_response"] or ""),
        str(a["user_id"]),
        groups.get(a["user_id"]),
        str(a["interaction_id"]),
        "tie" if a["score"] == b["score"] else "chosen",
        turns if len(turns) > 1 else (),
    )


def _groups(path: Path, group_by: str | None, conversations: Mapping[Any, Sequence[tuple[str, Row]]]) -> dict[Any, str]:
    """Participant -> group; empty where none is asked for."""
    if group_by is None:
        return {}
    own = [(where, row) for members in conversations.values() for where, row in members]
    if own and _value(own[0][1], group_by) is not None:
        people: Iterable[tuple[str, Row]] = own
    else:
        people = _survey(path, group_by)
    named = ((row["user_id"], _value(row, group_by)) for _, row in people if isinstance(row.get("user_id"), str | int))
    groups = {person: str(value) for person, value in named if value not in (None, "")}
    if not groups:
        raise RecordsError(f"{path.parent / SURVEY}: no participant has a value for {group_by}")
    return groups


def _survey(path: Path, group_by: str) -> Sequence[tuple[str, Row]]:
    survey = path.parent / SURVEY
    if not survey.is_file():
        raise RecordsError(
            f"{survey}: there is no such file; a rater's {group_by} stands in PRISM's survey: put it beside {path.name}"
        )
    people = list(records(survey))
    columns = list(dict.fromkeys(column for _, row in people for column in _columns(row)))
    if group_by not in columns:
        meant = did_you_mean(group_by, columns)
        raise RecordsError(f"{survey}: there is no column {group_by!r}{meant}; columns: {', '.join(columns)}")
    return people


def _columns(row: Row) -> Iterator[str]:
    """Names of columns, those within columns too, that a group can be told by."""
    for column, value in row.items():
        if isinstance(value, Mapping):
            yield from (f"{column}{DOT}{inner}" for inner in value)
        else:
            yield column


def _value(row: Row, column: str) -> Any:
    outer, _, inner = column.partition(DOT)
    value = row.get(column, row.get(outer))
    if inner and isinstance(value, Mapping):
        return value.get(inner)
    return None if isinstance(value, Mapping) else value
