"""What raters are handed and what is taken from them, without a server between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.preferences.annotate.desk import Answer, Desk, Refused, Said, choice_of
from evalkit.preferences.annotate.store import read_store
from tests.preferences.annotate.served import Clock, comparisons, make_desk


@pytest.fixture
def clock() -> Clock:
    return Clock()


def said(view: dict[str, Any], choice: Said = "first", seconds: float = 3.0) -> Answer:
    return Answer(view["pair"]["seat"], view["pair"]["opening"], choice, seconds)


def test_a_reload_in_the_middle_shows_the_same_pair_the_same_way_round(tmp_path: Path, clock: Clock) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(20), clock=clock)
    first = desk.enter("ann")
    assert desk.enter("ann")["pair"] == first["pair"]
    desk.store.close()
    again = make_desk(tmp_path / "a.sqlite", comparisons(20), clock=clock)
    assert again.enter("ann")["pair"] == first["pair"]


def test_both_ways_round_are_shown_and_the_choice_is_that_of_the_text(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(60))
    view = desk.enter("ann")
    while view["pair"]:
        view = desk.answer("ann", said(view, "first" if "good" in view["pair"]["first"] else "second"))
    answers = read_store(tmp_path / "a.sqlite")
    assert [one.choice for one in answers] == ["a"] * 60
    assert 15 < sum(one.first == "a" for one in answers) < 45  # beyond 4 standard deviations of a fair coin


def test_two_tabs_of_one_rater_show_one_pair_and_the_slower_one_is_told(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(3))
    left, right = desk.enter("ann"), desk.enter("ann")
    assert left["pair"] == right["pair"]
    after = desk.answer("ann", said(left, "first"))
    with pytest.raises(Refused, match="already"):
        desk.answer("ann", said(right, "second"))
    assert desk.sign("ann", right["pair"]["seat"]) == {"theirs": False}
    assert desk.enter("ann")["pair"] == after["pair"]
    assert len(read_store(tmp_path / "a.sqlite")) == 1


def test_undo_goes_back_step_by_step_and_each_pair_is_shown_as_it_was(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(5))
    views = [desk.enter("ann")]
    for _ in range(2):
        views.append(desk.answer("ann", said(views[-1])))
    view = views[-1]
    for earlier in (views[1], views[0]):
        view = desk.undo("ann", **{"seat_id": view["undo"]["seat"], "opening": view["undo"]["opening"]})
        assert {key: view["pair"][key] for key in ("seat", "first", "second")} == {
            key: earlier["pair"][key] for key in ("seat", "first", "second")
        }
    assert read_store(tmp_path / "a.sqlite") == []
    assert view["undo"] is None
    for choice in ("second", "second"):
        view = desk.answer("ann", said(view, choice))  # type: ignore[arg-type]
    assert view["pair"]["seat"] == views[2]["pair"]["seat"]
    assert len(read_store(tmp_path / "a.sqlite")) == 2


def test_only_the_last_answer_can_be_taken_back(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(5))
    first = desk.enter("ann")
    second = desk.answer("ann", said(first))
    desk.answer("ann", said(second))
    with pytest.raises(Refused, match="Only your last"):
        desk.undo("ann", first["pair"]["seat"], 1)
    assert len(read_store(tmp_path / "a.sqlite")) == 2


def test_an_answer_of_before_an_undo_is_refused_when_it_comes_late(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(5))
    first = desk.enter("ann")
    view = desk.answer("ann", said(first))
    desk.undo("ann", view["undo"]["seat"], view["undo"]["opening"])
    with pytest.raises(Refused):
        desk.answer("ann", said(first))
    assert read_store(tmp_path / "a.sqlite") == []


def test_seconds_are_those_that_the_page_counted_and_never_more_than_passed(tmp_path: Path, clock: Clock) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(5), clock=clock)
    view = desk.enter("ann")
    clock.ahead += 7 * 3600  # a laptop slept
    view = desk.answer("ann", said(view, seconds=12.5))
    view = desk.answer("ann", said(view, seconds=1e5))
    slept, boasted = (one.seconds for one in read_store(tmp_path / "a.sqlite"))
    assert slept == 12.5
    assert boasted < 60


def test_the_time_of_an_answer_that_was_taken_back_goes_on(tmp_path: Path, clock: Clock) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(5), clock=clock)
    view = desk.enter("ann")
    clock.ahead += 60
    view = desk.answer("ann", said(view, seconds=20))
    view = desk.undo("ann", view["undo"]["seat"], view["undo"]["opening"])
    clock.ahead += 60
    desk.answer("ann", said(view, "second", seconds=2))
    [told] = read_store(tmp_path / "a.sqlite")
    assert told.seconds == 22


def test_progress_and_pace_are_told(tmp_path: Path, clock: Clock) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(5), clock=clock, overlap=2)
    view = desk.enter("ann")
    for _ in range(4):
        clock.ahead += 10
        view = desk.answer("ann", said(view, seconds=10))
    assert view["progress"] == {"own": 4, "all": 4, "wanted": 10, "perMinute": 6.0}


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_choice_of_a_place_is_that_of_what_stood_there(first: Any) -> None:
    assert choice_of("first", first) == first
    assert {choice_of("first", first), choice_of("second", first)} == {"a", "b"}
    assert [choice_of(word, first) for word in ("tie", "both_bad", "skip")] == ["tie", "both_bad", "skip"]


def test_what_is_not_asked_for_is_refused(tmp_path: Path) -> None:
    desk: Desk = make_desk(tmp_path / "a.sqlite", comparisons(5), allows_tie=False, allows_both_bad=False)
    view = desk.enter("ann")
    for choice in ("tie", "both_bad"):
        with pytest.raises(Refused, match="allowed: first, second, skip"):
            desk.answer("ann", said(view, choice))  # type: ignore[arg-type]
