"""Checks of attention: pairs whose answer is known, and answers too quick to have been read."""

from __future__ import annotations

import sqlite3

from evalkit.plumbing.prose import counted
from evalkit.preferences.annotate.assignment import Seat, count_votes
from evalkit.preferences.annotate.settings import TaskSettings
from evalkit.preferences.annotate.store import comparison_of
from evalkit.preferences.annotation import Choice

STOPPED = "Too many checks of attention were missed, and so your answers do not count. Thank you for your time."
FAILURES = "SELECT count(*) FROM failures JOIN seats ON seats.id = failures.seat WHERE seats.rater = raters.id"


def examine(
    file: sqlite3.Connection, settings: TaskSettings, rater: int, seat: Seat, choice: Choice, seconds: float
) -> str:
    """Look at an answer; what its rater is to be told, which is mostly nothing."""
    gold = comparison_of(seat.comparison).gold
    missed = gold is not None and choice not in (gold, "skip")
    is_hasty = choice != "skip" and seconds < settings.fastest
    for kind in ["gold"] * missed + ["fast"] * is_hasty:
        file.execute("INSERT OR IGNORE INTO failures (seat, kind) VALUES (?, ?)", (seat.id, kind))
    if not (missed or is_hasty):
        return ""
    exclude(file, settings)
    if is_excluded(file, rater):
        count_votes(file, settings.group)
    told = [_expected(seat, gold)] if missed and gold is not None and not settings.is_gold_silent else []
    told += [f"That was quick: please take at least {settings.fastest:g} s for a pair."] if is_hasty else []
    return " ".join([*told, *_warning(failures(file, rater), settings)])


def failures(file: sqlite3.Connection, rater: int) -> int:
    """How many checks a rater has failed."""
    query = f"SELECT ({FAILURES}) FROM raters WHERE id = ?"  # noqa: S608 (a constant)
    return int(file.execute(query, (rater,)).fetchone()[0])


def is_excluded(file: sqlite3.Connection, rater: int) -> bool:
    return bool(file.execute("SELECT is_excluded FROM raters WHERE id = ?", (rater,)).fetchone()[0])


def exclude(file: sqlite3.Connection, settings: TaskSettings) -> None:
    """Whose answers count and whose do not, by what is allowed now."""
    query = f"UPDATE raters SET is_excluded = ({FAILURES}) >= ? WHERE rater_group = ?"  # noqa: S608 (a constant)
    file.execute(query, (settings.stop_at, settings.group))


def forgive_haste(file: sqlite3.Connection, seat: Seat) -> None:
    """A slip of the finger that was taken back is none; a known answer that was missed stays missed."""
    file.execute("DELETE FROM failures WHERE seat = ? AND kind = 'fast'", (seat.id,))


def _expected(seat: Seat, gold: Choice) -> str:
    words = {"tie": "that the two are equally good", "both_bad": "that both are bad", "skip": "a skip"}
    answer = words.get(gold, f"answer {1 if gold == seat.first else 2}")
    return f"That pair was a check of attention, and the expected choice was {answer}."


def _warning(failed: int, settings: TaskSettings) -> list[str]:
    if not settings.warn_at <= failed < settings.stop_at:
        return []
    return [f"{counted(failed, 'check')} of attention missed so far; at {settings.stop_at} your answers stop to count."]
