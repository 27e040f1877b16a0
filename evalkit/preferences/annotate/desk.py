"""The desk that hands out pairs and takes answers: every call is one transaction, so that the file is all it knows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.errors import EvalkitError
from evalkit.preferences.annotate import attention
from evalkit.preferences.annotate.assignment import Assignment, Seat, add_vote, count_votes
from evalkit.preferences.annotate.choosing import Chooser
from evalkit.preferences.annotate.settings import TaskSettings
from evalkit.preferences.annotate.store import AnswerStore, comparison_of, now_as_text
from evalkit.preferences.annotation import Choice, Comparison, Side

Place = Literal["first", "second"]
Said = Literal["first", "second", "tie", "both_bad", "skip"]
"""A choice as a page tells it, which knows places and not whose completions stand there."""
PACED = 20
"""Answers over which the pace is taken."""
OWN = """
FROM answers CROSS JOIN seats ON seats.id = answers.seat WHERE seats.rater = ? AND NOT answers.is_undone
"""
"""A rater's answers. CROSS has SQLite go through the answers in their order, from the last, not through all seats."""


class Refused(EvalkitError):  # noqa: N818 (a decision, as the word says)
    """What a page asked for is not done, and nothing was written."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        """Of HTTP."""


@dataclass(frozen=True)
class Answer:
    """What a rater says of the pair at a seat."""

    seat: int
    opening: int
    choice: Said
    seconds: float
    strength: Literal[1, 2, 3] | None = None
    reason: str = ""


class Desk:
    """Where raters of one group come for pairs, and bring answers."""

    def __init__(
        self,
        store: AnswerStore,
        settings: TaskSettings,
        chooser: Chooser,
        gold: Sequence[Comparison] = (),
        wanted: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`wanted`: answers at which all is done, where that is known; `clock`: seconds since 1970."""
        self.store = store
        self.settings = settings
        self._wanted = wanted
        self._clock = clock
        self._assignment = Assignment(settings, chooser, gold)
        with store.transaction() as file:
            attention.exclude(file, settings)
            count_votes(file, settings.group)
            self._assignment.lay_out_gold(file)

    def enter(self, rater: str) -> dict[str, Any]:
        """What a rater's page shows: the pair that they have, or a new one. Raises `Refused`, `StoreError`."""
        with self.store.transaction() as file:
            return self._state(file, self._rater(file, rater))

    def answer(self, rater: str, answer: Answer) -> dict[str, Any]:
        """Take an answer; what the page shows next. The same answer again, after a lost reply, is the same one.

        Raises `Refused`, `StoreError`.
        """
        with self.store.transaction() as file:
            who = self._rater(file, rater)
            seat = self._seat(file, who, answer.seat)
            self._check(answer)
            if seat.state == "open" and seat.opening == answer.opening:
                note = self._take(file, who, seat, answer)
            elif _is_said(file, seat, answer):
                note = ""
            else:
                raise Refused(409, "You have answered this pair already; your first answer stands. Undo takes it back.")
            return self._state(file, who, note)

    def undo(self, rater: str, seat_id: int, opening: int) -> dict[str, Any]:
        """Take back a rater's last answer; the page shows that pair again. Raises `Refused`, `StoreError`."""
        with self.store.transaction() as file:
            who = self._rater(file, rater)
            seat = self._seat(file, who, seat_id)
            is_undone = seat.state == "open" and seat.opening == opening + 1
            if not is_undone:
                if _last(file, who) != (seat.id, opening) or attention.is_excluded(file, who):
                    raise Refused(409, "Only your last answer can be taken back.")
                self._reopen(file, seat)
            return self._state(file, who)

    def sign(self, rater: str, seat_id: int) -> dict[str, Any]:
        """A page tells that its rater is still there, so that their pair stays theirs; whether it is.

        Raises `Refused`, `StoreError`.
        """
        with self.store.transaction() as file:
            who = self._rater(file, rater)
            seat = self._seat(file, who, seat_id)
            is_theirs = seat.state == "open" and self._assignment.is_free(file, seat, self._clock())
            if is_theirs:
                self._assignment.renew(file, seat, self._clock())
            return {"theirs": is_theirs}

    def answers(self) -> int:
        """How many answers of the group are in the file. Raises `StoreError`."""
        with self.store.transaction() as file:
            query = """SELECT count(*) FROM answers JOIN seats ON seats.id = answers.seat
            JOIN raters ON raters.id = seats.rater WHERE raters.rater_group = ? AND NOT answers.is_undone"""
            return int(file.execute(query, (self.settings.group,)).fetchone()[0])

    def _rater(self, file: sqlite3.Connection, name: str) -> int:
        group = self.settings.group
        file.execute("INSERT OR IGNORE INTO raters (rater_group, name) VALUES (?, ?)", (group, name))
        found = file.execute("SELECT id FROM raters WHERE rater_group = ? AND name = ?", (group, name))
        return int(found.fetchone()[0])

    def _seat(self, file: sqlite3.Connection, rater: int, seat_id: int) -> Seat:
        seat = self._assignment.seat(file, rater, seat_id)
        if seat is None:
            raise Refused(404, "No such pair was given to you.")
        return seat

    def _check(self, answer: Answer) -> None:
        allowed = self.settings.shown()["choices"]
        if answer.choice not in allowed:
            raise Refused(422, f"choice: {answer.choice!r} is not asked for here; allowed: {', '.join(allowed)}")
        if answer.strength is not None and not (self.settings.asks_strength and answer.choice in ("first", "second")):
            raise Refused(422, "strength: not asked for here")
        if answer.reason and not self.settings.asks_reason:
            raise Refused(422, "reason: not asked for here")

    def _take(self, file: sqlite3.Connection, rater: int, seat: Seat, answer: Answer) -> str:
        """Write an answer down; what its rater is to be told of it."""
        now = self._clock()
        if attention.is_excluded(file, rater):
            raise Refused(403, attention.STOPPED)
        if not self._assignment.is_free(file, seat, now):
            raise Refused(409, "This pair went to another rater while your page was away; nothing was saved.")
        choice = choice_of(answer.choice, seat.first)
        seconds = seat.spent + min(answer.seconds, max(0.0, now - seat.opened_at))
        file.execute(
            "INSERT INTO answers (seat, opening, choice, strength, reason, seconds, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (seat.id, seat.opening, choice, answer.strength, answer.reason, round(seconds, 3), now_as_text(now)),
        )
        state = "skipped" if choice == "skip" else "voted"
        file.execute("UPDATE seats SET state = ? WHERE id = ?", (state, seat.id))
        if state == "voted":
            add_vote(file, seat, 1)
        return attention.examine(file, self.settings, rater, seat, choice, seconds)

    def _reopen(self, file: sqlite3.Connection, seat: Seat) -> None:
        now = self._clock()
        last = (seat.id, seat.opening)
        query = "UPDATE answers SET is_undone = 1 WHERE seat = ? AND opening = ? RETURNING seconds"
        [(seconds,)] = file.execute(query, last).fetchall()
        file.execute(
            "UPDATE seats SET state = 'open', opening = opening + 1, spent = ?, opened_at = ?, lease_until = ? "
            "WHERE id = ?",
            (seconds, now, now + self.settings.lease, seat.id),
        )
        if seat.state == "voted":
            add_vote(file, seat, -1)
        attention.forgive_haste(file, seat)

    def _state(self, file: sqlite3.Connection, rater: int, note: str = "") -> dict[str, Any]:
        is_excluded = attention.is_excluded(file, rater)
        seat = None if is_excluded else self._assignment.next_seat(file, rater, self._clock())
        last = _last(file, rater)
        return {
            "pair": seat and _shown(seat),
            "stopped": attention.STOPPED if is_excluded else "",
            "note": note,
            "undo": None if last is None or is_excluded else {"seat": last[0], "opening": last[1]},
            "progress": self._progress(file, rater),
        }

    def _progress(self, file: sqlite3.Connection, rater: int) -> dict[str, Any]:
        times = file.execute(f"SELECT seconds {OWN} ORDER BY answers.id DESC LIMIT {PACED}", (rater,)).fetchall()
        seconds = sum(spent for (spent,) in times)
        own = "SELECT count(*) FROM seats WHERE rater = ? AND state != 'open'"
        return {
            "own": file.execute(own, (rater,)).fetchone()[0],
            "all": self._assignment.votes(file),
            "wanted": self._wanted,
            "perMinute": round(60 * len(times) / seconds, 1) if seconds > 0 else None,
        }


def choice_of(said: Said, first: Side) -> Choice:
    """Which completion was meant, where `first` was shown first."""
    other: Side = "b" if first == "a" else "a"
    if said == "first":
        return first
    return other if said == "second" else said


def _is_said(file: sqlite3.Connection, seat: Seat, answer: Answer) -> bool:
    """Whether this very answer is written down already."""
    found = file.execute(
        "SELECT choice, strength, reason FROM answers WHERE seat = ? AND opening = ? AND NOT is_undone",
        (seat.id, answer.opening),
    ).fetchone()
    return bool(found == (choice_of(answer.choice, seat.first), answer.strength, answer.reason))


def _last(file: sqlite3.Connection, rater: int) -> tuple[int, int] | None:
    """Seat and opening of a rater's last answer."""
    found: tuple[int, int] | None = file.execute(
        f"SELECT answers.seat, answers.opening {OWN} ORDER BY answers.id DESC LIMIT 1", (rater,)
    ).fetchone()
    return found


def _shown(seat: Seat) -> dict[str, Any]:
    """The pair as a page may know it: not whose completions they are, nor whether they were shown before."""
    pair = comparison_of(seat.comparison).pair
    first, second = (pair.a, pair.b) if seat.first == "a" else (pair.b, pair.a)
    turns = [{"role": turn.role, "text": turn.content} for turn in pair.prompt.turns]
    return {"seat": seat.id, "opening": seat.opening, "turns": turns, "first": first, "second": second}
