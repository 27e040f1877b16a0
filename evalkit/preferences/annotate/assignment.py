"""Who is asked about which pair: a stated overlap, repeats with the sides swapped, and checks of attention between.

A rater's place at a pair is a seat. It is theirs for a while; when nothing is heard of them, another may take it.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, overload

from evalkit.preferences.annotate.choosing import Chooser
from evalkit.preferences.annotate.settings import TaskSettings
from evalkit.preferences.annotate.store import answers_of, text_of
from evalkit.preferences.annotation import Annotation, Comparison, Side

GAP = 5
"""Other pairs that a rater sees, where there are some, before one comes again."""
SEAT = """
SELECT seats.id, seats.pair, seats.rater, seats.first, seats.state, seats.opening, seats.opened_at, seats.lease_until,
  seats.spent, pairs.comparison, seats.is_repeat, pairs.is_gold
FROM seats JOIN pairs ON pairs.id = seats.pair
"""
HELD = """
SELECT count(*) FROM seats JOIN raters ON raters.id = seats.rater
WHERE seats.pair = pairs.id AND seats.rater != :rater AND seats.state = 'open' AND seats.lease_until > :now
  AND NOT seats.is_repeat AND NOT raters.is_excluded
"""
"""How many other raters have a pair before them."""
WAITING = f"""
SELECT pairs.id FROM pairs
WHERE pairs.rater_group = :group AND NOT pairs.is_gold AND pairs.votes < :overlap
  AND pairs.id NOT IN (SELECT pair FROM seats WHERE seats.rater = :rater)
  AND pairs.votes + ({HELD}) < :overlap
ORDER BY pairs.id LIMIT 1
"""  # noqa: S608 (constants)
"""The oldest pair that has not gone to enough raters, and not to this one."""
COUNT_VOTES = """
UPDATE pairs SET votes = (
  SELECT count(*) FROM seats JOIN raters ON raters.id = seats.rater
  WHERE seats.pair = pairs.id AND seats.state = 'voted' AND NOT seats.is_repeat AND NOT raters.is_excluded
) WHERE rater_group = ?
"""
REPEATABLE = """
SELECT pair, first FROM (
  SELECT seats.pair, seats.first, seats.state, seats.is_repeat, pairs.is_gold,
    row_number() OVER (ORDER BY answers.id DESC) AS age
  FROM answers JOIN seats ON seats.id = answers.seat JOIN pairs ON pairs.id = seats.pair
  WHERE seats.rater = :rater AND NOT answers.is_undone
) AS own
WHERE age > :gap AND state = 'voted' AND NOT is_repeat AND NOT is_gold
  AND NOT EXISTS (SELECT 1 FROM seats WHERE seats.pair = own.pair AND seats.rater = :rater AND seats.is_repeat)
ORDER BY pair
"""
"""What a rater has answered once, with at least so many answers since."""


@dataclass(frozen=True)
class Seat:
    """A rater's place at a pair."""

    id: int
    pair: int
    rater: int
    first: Side
    state: Literal["open", "voted", "skipped"]
    opening: int
    """How often it was opened: once, and once more for each time that its answer was taken back."""
    opened_at: float
    lease_until: float
    """Until when it is kept for its rater though nothing is heard of them; seconds since 1970."""
    spent: float
    """Seconds of its earlier openings."""
    comparison: str
    """As the file holds it."""
    is_repeat: bool
    is_gold: bool


class _Votes(Sequence[Annotation]):
    """All that a group has said, which is read when a chooser looks at it: most do not."""

    def __init__(self, file: sqlite3.Connection, group: str) -> None:
        self._file = file
        self._group = group

    @cached_property
    def _all(self) -> list[Annotation]:
        return answers_of(self._file, self._group)

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, place: int) -> Annotation: ...
    @overload
    def __getitem__(self, place: slice) -> list[Annotation]: ...
    def __getitem__(self, place: int | slice) -> Annotation | list[Annotation]:
        return self._all[place]


class Assignment:
    """Finds the seat that a rater is to have."""

    def __init__(self, settings: TaskSettings, chooser: Chooser, gold: Sequence[Comparison]) -> None:
        self._settings = settings
        self._chooser = chooser
        self._drawn_last: Comparison | None = None
        self._gold = {comparison.id: comparison for comparison in gold}

    def lay_out_gold(self, file: sqlite3.Connection) -> None:
        """Put the owner's checks into the file, where they are not yet."""
        for comparison in self._gold.values():
            self._enter(file, comparison, is_gold=True)

    def seat(self, file: sqlite3.Connection, rater: int, seat: int) -> Seat | None:
        """A seat by its number; None where it is not this rater's."""
        return _first(file, "WHERE seats.id = ? AND seats.rater = ?", (seat, rater))

    def next_seat(self, file: sqlite3.Connection, rater: int, now: float) -> Seat | None:
        """The seat that a rater has, else a new one; None when there is nothing left for them."""
        for seat in _seats(file, "WHERE seats.rater = ? AND seats.state = 'open' ORDER BY opened_at DESC", (rater,)):
            if self.is_free(file, seat, now):
                self.renew(file, seat, now)
                return seat
        return self._new(file, rater, now)

    def is_free(self, file: sqlite3.Connection, seat: Seat, now: float) -> bool:
        """Whether an open seat is still its rater's: within its time, or because nobody else took it since."""
        if seat.is_repeat or seat.is_gold or seat.lease_until > now:
            return True
        query = f"SELECT votes + ({HELD}) FROM pairs WHERE id = :pair"  # noqa: S608 (a constant)
        values = {"pair": seat.pair, "rater": seat.rater, "now": now}
        return bool(file.execute(query, values).fetchone()[0] < self._settings.overlap)

    def renew(self, file: sqlite3.Connection, seat: Seat, now: float) -> None:
        """Keep it for its rater for a while longer."""
        file.execute("UPDATE seats SET lease_until = ? WHERE id = ?", (now + self._settings.lease, seat.id))

    def votes(self, file: sqlite3.Connection) -> int:
        """Answers of the group that count."""
        query = "SELECT coalesce(sum(votes), 0) FROM pairs WHERE rater_group = ? AND NOT is_gold"
        return int(file.execute(query, (self._settings.group,)).fetchone()[0])

    def _new(self, file: sqlite3.Connection, rater: int, now: float) -> Seat | None:
        if (pair := self._due_gold(file, rater)) is not None:
            return self._sit(file, rater, pair, now)
        if (again := self._due_repeat(file, rater, GAP)) is not None:
            return self._sit(file, rater, again[0], now, again[1])
        if (pair := self._waiting(file, rater, now)) is not None or (pair := self._drawn(file, rater)) is not None:
            return self._sit(file, rater, pair, now)
        if (again := self._due_repeat(file, rater, 1)) is not None:  # there are no others to come between
            return self._sit(file, rater, again[0], now, again[1])
        return None

    def _due_gold(self, file: sqlite3.Connection, rater: int) -> int | None:
        """A check, at a place by chance in every so many pairs."""
        every = self._settings.gold_every
        if not self._gold:
            return None
        block, place = divmod(_count(file, rater, "seats.state != 'open'"), every)
        seen = _count(file, rater, "pairs.is_gold")
        if seen > block or (seen == block and place < self._chance("gold", rater, block).randrange(every)):
            return None
        new = [
            pair
            for pair, comparison_id in file.execute(
                "SELECT id, comparison_id FROM pairs WHERE rater_group = ? AND is_gold AND NOT EXISTS "
                "(SELECT 1 FROM seats WHERE seats.pair = pairs.id AND seats.rater = ?) ORDER BY id",
                (self._settings.group, rater),
            )
            if comparison_id in self._gold
        ]
        return self._chance("which gold", rater, block).choice(new) if new else None

    def _due_repeat(self, file: sqlite3.Connection, rater: int, gap: int) -> tuple[int, Side] | None:
        """A pair that comes again, and which of it is first then."""
        if not self._settings.repeats:
            return None
        answered = _count(file, rater, "seats.state = 'voted' AND NOT pairs.is_gold AND NOT seats.is_repeat")
        repeated = _count(file, rater, "seats.is_repeat")
        if repeated >= int(self._settings.repeats * answered + 1e-9):  # 0.1 * 30 is a little more than 3
            return None
        found = file.execute(REPEATABLE, {"rater": rater, "gap": gap}).fetchall()
        if not found:
            return None
        pair, first = self._chance("repeat", rater, repeated).choice(found)
        return int(pair), "b" if first == "a" else "a"

    def _waiting(self, file: sqlite3.Connection, rater: int, now: float) -> int | None:
        settings = self._settings
        values = {"group": settings.group, "rater": rater, "now": now, "overlap": settings.overlap}
        found = file.execute(WAITING, values).fetchone()
        return found[0] if found else None

    def _drawn(self, file: sqlite3.Connection, rater: int) -> int | None:
        """A pair that nobody had yet."""
        if self._drawn_last is not None and not self._is_known(file, self._drawn_last):
            return self._enter(file, self._drawn_last, is_gold=False)  # the transaction of its draw failed
        votes, drawn = _Votes(file, self._settings.group), self._pairs(file)
        while (comparison := self._chooser.draw(votes, self._chance("draw", rater, drawn))) is not None:
            if not self._is_known(file, comparison):  # else another server of the group has drawn it
                self._drawn_last = comparison
                return self._enter(file, comparison, is_gold=False)
        return None

    def _is_known(self, file: sqlite3.Connection, comparison: Comparison) -> bool:
        query = "SELECT 1 FROM pairs WHERE rater_group = ? AND NOT is_gold AND comparison_id = ?"
        return file.execute(query, (self._settings.group, comparison.id)).fetchone() is not None

    def _pairs(self, file: sqlite3.Connection) -> int:
        query = "SELECT count(*) FROM pairs WHERE rater_group = ?"
        return int(file.execute(query, (self._settings.group,)).fetchone()[0])

    def _enter(self, file: sqlite3.Connection, comparison: Comparison, is_gold: bool) -> int:
        key = (self._settings.group, comparison.id, is_gold)
        file.execute(
            "INSERT OR IGNORE INTO pairs (rater_group, comparison_id, is_gold, comparison) VALUES (?, ?, ?, ?)",
            (*key, text_of(comparison)),
        )
        query = "SELECT id FROM pairs WHERE rater_group = ? AND comparison_id = ? AND is_gold = ?"
        return int(file.execute(query, key).fetchone()[0])

    def _sit(self, file: sqlite3.Connection, rater: int, pair: int, now: float, first: Side | None = None) -> Seat:
        sides: tuple[Side, Side] = ("a", "b")
        side = first or self._chance("side", rater, pair).choice(sides)
        values = (pair, rater, side, first is not None, now, now + self._settings.lease)
        made = file.execute(
            "INSERT INTO seats (pair, rater, first, is_repeat, opened_at, lease_until) VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )
        seat = _first(file, "WHERE seats.id = ?", (made.lastrowid,))
        assert seat is not None
        return seat

    def _chance(self, *of: object) -> random.Random:
        """What the seed decides of something, whatever else was decided before."""
        return random.Random("|".join(map(str, (self._settings.seed, self._settings.group, *of))))  # noqa: S311


def _seats(file: sqlite3.Connection, condition: str, values: Sequence[object]) -> list[Seat]:
    rows = file.execute(f"{SEAT} {condition}", values).fetchall()
    return [Seat(*row[:-2], *map(bool, row[-2:])) for row in rows]


def _first(file: sqlite3.Connection, condition: str, values: Sequence[object]) -> Seat | None:
    return next(iter(_seats(file, condition, values)), None)


def count_votes(file: sqlite3.Connection, group: str) -> None:
    """Count anew the votes of each pair, after some raters' answers have come to count or not to."""
    file.execute(COUNT_VOTES, (group,))


def add_vote(file: sqlite3.Connection, seat: Seat, votes: int) -> None:
    """One vote more, or with -1 one less, of a seat at which one counts."""
    if not seat.is_repeat:
        file.execute("UPDATE pairs SET votes = votes + ? WHERE id = ?", (votes, seat.pair))


def _count(file: sqlite3.Connection, rater: int, condition: str) -> int:
    """A rater's seats of a kind."""
    query = "SELECT count(*) FROM seats JOIN pairs ON pairs.id = seats.pair WHERE seats.rater = ? AND "
    return int(file.execute(query + condition, (rater,)).fetchone()[0])
