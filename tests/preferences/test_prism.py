"""PRISM's layout, with rows of our own: scores become preferences, and the survey's columns groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import RecordsError
from evalkit.preferences.layouts.read import layout_of, read_file
from evalkit.preferences.preference import Preference


def utterance(
    turn: int, within: int, answer: str, score: float | None, chosen: bool, user: str = "user0"
) -> dict[str, Any]:
    return {
        "utterance_id": f"ut{user}{turn}{within}",
        "interaction_id": f"int{user}{turn}",
        "conversation_id": f"c{user}",
        "user_id": user,
        "turn": turn,
        "within_turn_id": within,
        "conversation_type": "unguided",
        "user_prompt": ("Is rain good?", "Why?")[turn],
        "model_response": answer,
        "model_name": "a-model",
        "model_provider": "somebody",
        "score": score,
        "if_chosen": chosen,
        "included_in_balanced_subset": True,
    }


ROWS = [
    utterance(0, 0, "Yes.", 80, True),
    utterance(0, 1, "No.", 10, False),
    utterance(0, 2, "Sometimes.", 10, False),
    utterance(1, 0, "It waters fields.", 40, False),
    utterance(1, 1, "It is wet.", 60, True),
    utterance(0, 0, "Maybe.", 5, False, "user1"),
    utterance(0, 1, "Ask a farmer.", 95, True, "user1"),
]
PEOPLE = [
    {"user_id": "user0", "age": "18-24 years old", "location": {"reside_country": "Ghana", "birth_country": "Togo"}},
    {"user_id": "user1", "age": "65+ years old", "location": {"reside_country": "Chile", "birth_country": "Chile"}},
]


@pytest.fixture
def utterances(tmp_path: Path) -> Path:
    (tmp_path / "survey.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in PEOPLE), encoding="utf-8")
    return write(tmp_path, ROWS)


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "utterances.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_every_two_answers_of_an_interaction_are_a_preference(utterances: Path) -> None:
    notes: list[str] = []
    account = read_file(utterances, notes.append, group_by="location.reside_country")
    assert (layout_of(utterances), account.layout, notes) == ("prism", "prism", [])
    first, second, tie, later, other = account.preferences
    assert first == Preference("Is rain good?", "Yes.", "No.", "user0", "Ghana", "intuser00")
    assert (second.chosen, second.rejected) == ("Yes.", "Sometimes.")
    assert (tie.winner, tie.target) == ("tie", 0.5)
    assert (other.chosen, other.rejected, other.group) == ("Ask a farmer.", "Maybe.", "Chile")
    assert (later.chosen, later.rejected) == ("It is wet.", "It waters fields.")
    assert later.turns == (("user", "Is rain good?"), ("assistant", "Yes."), ("user", "Why?"))


def test_a_plain_column_tells_groups_too_and_none_is_needed(utterances: Path) -> None:
    by_age = read_file(utterances, print, group_by="age")
    assert {preference.group for preference in by_age.preferences} == {"18-24 years old", "65+ years old"}
    assert {preference.group for preference in read_file(utterances, print).preferences} == {None}


def test_a_column_of_the_rows_themselves_needs_no_survey(tmp_path: Path) -> None:
    account = read_file(write(tmp_path, [row | {"age": "young"} for row in ROWS]), lambda _: None, group_by="age")
    assert {preference.group for preference in account.preferences} == {"young"}


def test_what_is_no_pair_is_counted(utterances: Path) -> None:
    rows = [
        utterance(0, 0, "Yes.", None, False),
        utterance(0, 1, "No.", 10, False),
        utterance(1, 0, "It waters fields.", 40, False),
        utterance(1, 1, "It is wet.", 60, True),
        *ROWS[-2:],
    ]
    account = read_file(write(utterances.parent, rows), print)
    assert {why: len(places) for why, places in account.left_out.items()} == {
        "an answer has no score": 1,
        "what was said before is not known": 1,
    }
    assert len(account.preferences) == 1


def test_mistakes_name_the_file_and_what_is_allowed(utterances: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=r"no column 'location.reside_contry' \(did you mean 'location.reside_coun"):
        read_file(utterances, print, group_by="location.reside_contry")
    without = [{key: value for key, value in row.items() if key != "if_chosen"} for row in ROWS]
    with pytest.raises(RecordsError, match=r"utterances.jsonl:1: if_chosen: this key is missing"):
        read_file(write(tmp_path, without), print)
    (tmp_path / "survey.jsonl").unlink()
    with pytest.raises(RecordsError, match=r"survey.jsonl: there is no such file"):
        read_file(write(tmp_path, ROWS), print, group_by="age")
    own = tmp_path / "own.jsonl"
    own.write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n', encoding="utf-8")
    with pytest.raises(RecordsError, match="--columns group=COLUMN"):
        read_file(own, print, group_by="age")


@pytest.mark.parametrize(
    ("key", "cell", "said"),
    [
        ("score", "90", r":1: score: found '90'; it must be a number, 1 to 100, or null"),
        ("score", [9], r":1: score: found \[9\]"),
        ("score", 10**400, ":1: score: found 1000"),
        ("turn", "0", ":1: turn: found '0'; it must be a number, 0 for the first"),
        ("conversation_id", ["c"], r":1: conversation_id: found \['c'\]; it must be a text or a whole number"),
        ("interaction_id", None, ":1: interaction_id: found None"),
        ("user_id", {}, ":1: user_id: found {}"),
    ],
)
def test_a_cell_that_is_not_what_prism_has_there_is_told(tmp_path: Path, key: str, cell: object, said: str) -> None:
    path = write(tmp_path, [ROWS[0] | {key: cell}, ROWS[1]])
    with pytest.raises(RecordsError, match=said):
        read_file(path, print)
