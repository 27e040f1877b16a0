from __future__ import annotations

import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import StoreError
from evalkit.preferences.annotate.assignment import GAP, Assignment, count_votes
from evalkit.preferences.annotate.desk import Answer, Desk, Refused, Said
from evalkit.preferences.annotate.store import read_store
from evalkit.preferences.annotation import votes
from tests.preferences.annotate.served import Clock, comparisons, gold, make_desk, rows


def answer(desk: Desk, rater: str, view: dict[str, Any], choice: Said = "first") -> dict[str, Any]:
    return desk.answer(rater, Answer(view["pair"]["seat"], view["pair"]["opening"], choice, 3.0))


def answer_all(desk: Desk, rater: str, choice: Said = "first", most: int = 1000) -> int:
    """How many pairs a rater is given, until there are no more."""
    view, count = desk.enter(rater), 0
    while view["pair"] and count < most:
        view = answer(desk, rater, view, choice)
        count += 1
    return count


def test_each_pair_goes_to_as_many_raters_as_the_overlap_says(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(10), clock=clock, overlap=2)
    counts = []
    for rater in ("ann", "ben", "cleo", "dan", "eve"):
        counts.append(answer_all(desk, rater, most=6))
        clock.ahead += 3600  # they left with a pair before them
    assert sum(counts) == 20
    answers = read_store(tmp_path / "a.sqlite")
    assert set(Counter(one.comparison.id for one in answers).values()) == {2}
    assert len({(one.rater, one.comparison.id) for one in answers}) == 20


def test_a_larger_overlap_is_asked_for_when_the_server_starts_again(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(10))
    assert answer_all(desk, "ann") == 10
    assert desk.enter("ben")["pair"] is None
    desk.store.close()
    again = make_desk(tmp_path / "a.sqlite", comparisons(10), overlap=2)
    assert answer_all(again, "ann") == 0
    assert answer_all(again, "ben") == 10


def test_a_pair_that_was_skipped_goes_to_another_rater(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(4))
    assert answer_all(desk, "ann", "skip") == 4
    assert answer_all(desk, "ben") == 4
    assert answer_all(desk, "ann") == 0


def test_groups_are_asked_apart(tmp_path: Path) -> None:
    readers = make_desk(tmp_path / "a.sqlite", comparisons(4))
    doctors = make_desk(tmp_path / "a.sqlite", comparisons(4), group="doctors")
    assert [answer_all(readers, "ann"), answer_all(doctors, "ann")] == [4, 4]
    assert Counter(one.group for one in read_store(tmp_path / "a.sqlite")) == {"readers": 4, "doctors": 4}


def test_two_servers_of_one_group_draw_no_pair_twice(tmp_path: Path) -> None:
    one = make_desk(tmp_path / "a.sqlite", comparisons(9))
    other = make_desk(tmp_path / "a.sqlite", comparisons(9))
    views = {"ann": one.enter("ann"), "ben": other.enter("ben")}
    desks = {"ann": one, "ben": other}
    while any(view["pair"] for view in views.values()):
        views = {who: answer(desks[who], who, view) if view["pair"] else view for who, view in views.items()}
    assert len({told.comparison.id for told in read_store(tmp_path / "a.sqlite")}) == 9
    assert len(read_store(tmp_path / "a.sqlite")) == 9


def test_a_pair_of_a_rater_who_went_away_goes_to_another(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(1), clock=clock, lease=600)
    asleep = desk.enter("ann")
    assert desk.enter("ben")["pair"] is None
    clock.ahead += 599
    assert desk.enter("ben")["pair"] is None
    clock.ahead += 2
    view = desk.enter("ben")
    assert view["pair"] is not None
    assert desk.sign("ann", asleep["pair"]["seat"]) == {"theirs": False}
    before = rows(tmp_path / "a.sqlite")
    with pytest.raises(Refused, match="another rater"):
        answer(desk, "ann", asleep)
    assert rows(tmp_path / "a.sqlite") == before
    assert desk.enter("ann")["pair"] is None
    answer(desk, "ben", view)
    assert [told.rater for told in read_store(tmp_path / "a.sqlite")] == ["ben"]


def test_who_comes_back_before_another_took_their_pair_still_has_it(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(1), clock=clock, lease=600)
    view = desk.enter("ann")
    clock.ahead += 10_000
    assert desk.sign("ann", view["pair"]["seat"]) == {"theirs": True}
    assert desk.enter("ben")["pair"] is None
    clock.ahead += 10_000
    answer(desk, "ann", view)
    assert [told.rater for told in read_store(tmp_path / "a.sqlite")] == ["ann"]


def test_a_sign_of_life_keeps_a_pair(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path / "a.sqlite", comparisons(1), clock=clock, lease=600)
    view = desk.enter("ann")
    for _ in range(5):
        clock.ahead += 500
        desk.sign("ann", view["pair"]["seat"])
    assert desk.enter("ben")["pair"] is None


@pytest.mark.parametrize("share", [0.1, 0.25, 1.0])
def test_a_share_of_pairs_comes_again_with_the_sides_swapped(tmp_path: Path, share: float) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(40), repeats=share)
    answer_all(desk, "ann")
    answers = read_store(tmp_path / "a.sqlite")
    repeats = [(place, one) for place, one in enumerate(answers) if one.is_repeat]
    assert len(repeats) == share * 40
    for place, one in repeats:
        [before] = [early for early in range(place) if answers[early].comparison.id == one.comparison.id]
        assert answers[before].first != one.first
        if place < 40:  # later only few are left to come between
            assert place - before > GAP


def test_neither_skipped_pairs_nor_checks_come_again(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(20), gold(5), repeats=1.0)
    view, number = desk.enter("ann"), 0
    while view["pair"]:
        view = answer(desk, "ann", view, "skip" if number % 2 else "tie")
        number += 1
    skipped = {
        one.comparison.id for one in read_store(tmp_path / "a.sqlite") if one.choice == "skip" and not one.is_repeat
    }
    again = [one for one in read_store(tmp_path / "a.sqlite") if one.is_repeat]
    assert again
    assert not skipped & {one.comparison.id for one in again}
    assert not any(one.comparison.gold for one in again)


def test_one_check_comes_in_each_so_many_pairs_at_a_place_that_nobody_can_know(tmp_path: Path) -> None:
    places = []
    desk = make_desk(tmp_path / "a.sqlite", comparisons(100), gold(6), gold_every=10, stop_at=100, overlap=3)
    for rater in ("ann", "ben", "cleo"):
        answer_all(desk, rater, "tie")
        own = [one for one in read_store(tmp_path / "a.sqlite") if one.rater == rater]
        checks = [place for place, one in enumerate(own) if one.comparison.gold]
        assert [place // 10 for place in checks] == list(range(6))  # then they have seen them all
        assert len({own[place].comparison.id for place in checks}) == 6
        places += [place % 10 for place in checks]
    assert len(set(places)) > 5


@pytest.mark.parametrize("seed", range(3))
def test_votes_are_counted_right_whatever_raters_do(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    desk = make_desk(tmp_path / "a.sqlite", comparisons(30), gold(6), gold_every=3, repeats=0.3, overlap=2, stop_at=3)
    views = {rater: desk.enter(rater) for rater in ("ann", "ben", "cleo")}
    for _ in range(150):
        rater = chance.choice(list(views))
        view = views[rater]
        if view["undo"] and chance.random() < 0.3:
            views[rater] = desk.undo(rater, view["undo"]["seat"], view["undo"]["opening"])
        elif view["pair"]:
            passes = rater == "cleo" and view["pair"]["turns"][0]["text"].startswith(
                "What is"
            )  # the others are stopped
            choice = "skip" if passes else chance.choice(["first", "second", "tie", "skip"])
            views[rater] = answer(desk, rater, view, choice)  # type: ignore[arg-type]
    kept = rows(tmp_path / "a.sqlite")["pairs"]
    with desk.store.transaction() as file:
        count_votes(file, "readers")
    assert rows(tmp_path / "a.sqlite")["pairs"] == kept
    counted = votes(read_store(tmp_path / "a.sqlite"))
    assert len(counted) == desk.enter("dan")["progress"]["all"] > 0
    assert max(Counter(one.comparison.id for one in counted).values()) <= 2


def test_a_pair_whose_draw_could_not_be_written_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(3))

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Assignment, "_sit", full)
        with pytest.raises(StoreError, match="disk is full"):
            desk.enter("ann")
    assert answer_all(desk, "ann") == 3
