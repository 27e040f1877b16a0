from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.preferences.annotate.attention import STOPPED
from evalkit.preferences.annotate.desk import Answer, Desk, Refused
from evalkit.preferences.annotate.store import read_store
from evalkit.preferences.annotation import votes
from tests.preferences.annotate.served import Clock, comparisons, gold, make_desk


class Careless:
    """A rater who gets every check wrong, and takes so long for a pair."""

    def __init__(self, desk: Desk, clock: Clock, seconds: float = 5.0) -> None:
        self.desk, self.clock, self.seconds = desk, clock, seconds
        self.view = desk.enter("ann")

    def answer(self) -> dict[str, Any]:
        pair = self.view["pair"]
        is_check = pair["turns"][0]["text"].startswith("What is")
        wrong = "second" if is_check and int(pair["first"]) < int(pair["second"]) else "first"
        self.clock.ahead += 60
        self.view = self.desk.answer("ann", Answer(pair["seat"], pair["opening"], wrong, self.seconds))  # type: ignore[arg-type]
        return self.view


def notes(desk: Desk, clock: Clock, seconds: float = 5.0) -> list[str]:
    """All that a careless rater is told, until they are stopped or nothing is left."""
    rater, told = Careless(desk, clock, seconds), []
    while rater.view["pair"]:
        told.append(rater.answer()["note"])
    return [note for note in told if note]


def test_a_missed_check_is_told_then_warned_of_then_it_is_the_end(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60), gold(8), clock, gold_every=3)
    told = notes(desk, clock)
    assert len(told) == 5
    assert all("expected choice was answer" in note for note in told)
    assert "missed so far" not in told[0]
    assert [note.split("expected")[1].split(". ")[1].split(" of")[0] for note in told[1:4]] == [
        "2 checks",
        "3 checks",
        "4 checks",
    ]
    assert desk.enter("ann")["stopped"] == STOPPED
    assert desk.enter("ann")["pair"] is None


def test_silent_checks_are_not_told_of_but_warned_of(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60), gold(8), clock, gold_every=3, is_gold_silent=True)
    told = notes(desk, clock)
    assert [note[:8] for note in told] == ["2 checks", "3 checks", "4 checks"]
    assert "expected" not in " ".join(told)


def test_bounds_are_the_owner_s(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60), gold(8), clock, gold_every=3, warn_at=1, stop_at=2)
    told = notes(desk, clock)
    assert len(told) == 2
    assert "at 2 your answers stop to count" in told[0]


def test_answers_of_who_was_stopped_are_kept_and_count_nowhere_and_their_pairs_go_to_others(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(10), gold(8), clock, gold_every=2, stop_at=3)
    notes(desk, clock)
    answers = read_store(tmp_path / "a.sqlite")
    assert len(answers) > 3
    assert all(one.is_excluded for one in answers)
    assert votes(answers) == []
    view = desk.enter("ben")
    assert view["progress"]["all"] == 0
    count = 0
    while view["pair"]:
        pair = view["pair"]
        right = "second" if pair["second"].isdigit() and int(pair["second"]) < int(pair["first"]) else "first"
        view = desk.answer("ben", Answer(pair["seat"], pair["opening"], right, 1.0))  # type: ignore[arg-type]
        count += not pair["first"].isdigit()
    assert count == len(votes(read_store(tmp_path / "a.sqlite"))) == 10


def test_who_was_stopped_can_neither_answer_nor_undo(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60), gold(8), clock, gold_every=3, warn_at=1, stop_at=1)
    rater = Careless(desk, clock)
    other = desk.enter("ann")
    while rater.view["pair"]:
        last = rater.view["pair"]
        rater.answer()
    assert other["pair"] is not None
    with pytest.raises(Refused):
        desk.undo("ann", last["seat"], last["opening"])


def test_a_choice_sooner_than_allowed_is_a_failed_check(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60), clock=clock, fastest=2.0)
    told = notes(desk, clock, seconds=1.0)
    assert len(told) == 5
    assert told[0] == "That was quick: please take at least 2 s for a pair."
    assert desk.enter("ann")["stopped"]


def test_a_choice_that_took_long_enough_is_none(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(20), clock=clock, fastest=2.0)
    assert notes(desk, clock, seconds=2.0) == []


def test_undo_forgives_haste_but_not_a_missed_check(tmp_path: Path) -> None:
    clock = Clock()
    hasty = make_desk(tmp_path / "a.sqlite", comparisons(60), clock=clock, fastest=2.0, warn_at=1, stop_at=2)
    rater = Careless(hasty, clock, seconds=1.0)
    for _ in range(5):
        rater.answer()
        rater.view = hasty.undo("ann", rater.view["undo"]["seat"], rater.view["undo"]["opening"])
    assert rater.view["pair"]
    missing = make_desk(tmp_path / "b.sqlite", comparisons(60), gold(8), clock, gold_every=2, stop_at=2)
    rater = Careless(missing, clock)
    while rater.view["pair"]:
        note = rater.answer()["note"]
        if note and rater.view["undo"]:
            rater.view = missing.undo("ann", rater.view["undo"]["seat"], rater.view["undo"]["opening"])
            rater.answer()  # the same check, missed again: it counts once
    assert rater.view["stopped"]
    assert sum(one.comparison.gold is not None for one in read_store(tmp_path / "b.sqlite")) == 2


def test_other_bounds_hold_for_all_when_the_server_starts_again(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60), gold(8), clock, gold_every=3)
    notes(desk, clock)
    desk.store.close()
    milder = make_desk(tmp_path / "a.sqlite", comparisons(60), gold(8), clock, gold_every=3, stop_at=8)
    assert milder.enter("ann")["pair"]
    assert not any(one.is_excluded for one in read_store(tmp_path / "a.sqlite"))
