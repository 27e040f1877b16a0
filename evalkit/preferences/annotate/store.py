"""The file of answers while people give them: SQLite, in which a transaction that has ended is on the disk."""

from __future__ import annotations

import datetime
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import RecordsError, StoreError
from evalkit.preferences.annotation import Annotation, Comparison

APPLICATION = 0x65766B61
"""`evka`: by this number in its header a file of answers is told from other SQLite files."""
VERSION = 1
PATIENCE = 10.0
"""Seconds that a transaction waits for another process."""
SCHEMA = """
CREATE TABLE pairs (
  id INTEGER PRIMARY KEY, rater_group TEXT NOT NULL, comparison_id TEXT NOT NULL, is_gold INTEGER NOT NULL,
  comparison TEXT NOT NULL, votes INTEGER NOT NULL DEFAULT 0,  -- that count, so that nobody has to count them
  UNIQUE (rater_group, is_gold, comparison_id)
);
CREATE INDEX pairs_by_votes ON pairs (rater_group, is_gold, votes);
CREATE TABLE raters (
  id INTEGER PRIMARY KEY, rater_group TEXT NOT NULL, name TEXT NOT NULL, is_excluded INTEGER NOT NULL DEFAULT 0,
  UNIQUE (rater_group, name)
);
CREATE TABLE seats (  -- a rater's place at a pair
  id INTEGER PRIMARY KEY, pair INTEGER NOT NULL REFERENCES pairs, rater INTEGER NOT NULL REFERENCES raters,
  first TEXT NOT NULL CHECK (first IN ('a', 'b')), is_repeat INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'voted', 'skipped')),
  opening INTEGER NOT NULL DEFAULT 1, opened_at REAL NOT NULL, lease_until REAL NOT NULL,
  spent REAL NOT NULL DEFAULT 0, UNIQUE (pair, rater, is_repeat)
);
CREATE INDEX seats_of_rater ON seats (rater, state);
CREATE TABLE answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, seat INTEGER NOT NULL REFERENCES seats, opening INTEGER NOT NULL,
  choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'tie', 'both_bad', 'skip')), strength INTEGER, reason TEXT NOT NULL,
  seconds REAL NOT NULL, at TEXT NOT NULL, is_undone INTEGER NOT NULL DEFAULT 0, UNIQUE (seat, opening)
);
CREATE TABLE failures (  -- of checks of attention
  seat INTEGER NOT NULL REFERENCES seats, kind TEXT NOT NULL CHECK (kind IN ('gold', 'fast')),
  PRIMARY KEY (seat, kind)
);
"""
ANSWERS = """
SELECT pairs.comparison, raters.name, raters.rater_group, raters.is_excluded, seats.first, seats.is_repeat,
  answers.choice, answers.strength, answers.reason, answers.seconds, answers.at
FROM answers JOIN seats ON seats.id = answers.seat JOIN pairs ON pairs.id = seats.pair
  JOIN raters ON raters.id = seats.rater
WHERE NOT answers.is_undone
"""
_COMPARISON: TypeAdapter[Comparison] = TypeAdapter(Comparison)


class AnswerStore:
    """A file of answers, open for writing. Several threads may use it, and several processes the file."""

    def __init__(self, path: Path) -> None:
        """Make or open it. Raises `RecordsError` on another file, `StoreError` where it cannot be written."""
        self.path = path
        self._lock = threading.Lock()
        self._connection = _opened(path)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done inside, and on the disk when it has ended. Raises `StoreError`."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} could not be written: {error}; {_advice(error)}") from None


def read_store(path: Path) -> list[Annotation]:
    """All answers of a file, in the order in which they were given; not those that were taken back.

    May be read while the server writes. Raises `RecordsError`.
    """
    if not path.is_file():
        raise RecordsError(f"{path} is not there; `evalkit annotate` writes it")
    try:
        with closing(sqlite3.connect(_to_read(path), uri=True, timeout=PATIENCE)) as connection:
            _check(path, connection)
            return answers_of(connection)
    except (sqlite3.Error, ValidationError) as error:
        raise RecordsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def answers_of(connection: sqlite3.Connection, group: str | None = None) -> list[Annotation]:
    """All answers, or those of one group, in the order in which they were given."""
    chosen, values = (" AND raters.rater_group = ?", (group,)) if group is not None else ("", ())
    return [_annotation(row) for row in connection.execute(f"{ANSWERS}{chosen} ORDER BY answers.id", values)]


def comparison_of(text: str) -> Comparison:
    """A comparison as the file holds it."""
    return _parsed(text)


def text_of(comparison: Comparison) -> str:
    """How the file holds a comparison."""
    return _COMPARISON.dump_json(comparison).decode()


def now_as_text(now: float) -> str:
    """A moment (seconds since 1970) as answers state it: ISO 8601, UTC."""
    return datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="milliseconds")


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> Comparison:
    return _COMPARISON.validate_json(text)


def _annotation(row: Sequence[Any]) -> Annotation:
    comparison, rater, group, is_excluded, first, is_repeat, choice, strength, reason, seconds, at = row
    return Annotation(
        _parsed(comparison),
        rater,
        group,
        choice,
        first,
        seconds,
        at,
        strength,
        reason,
        is_repeat=bool(is_repeat),
        is_excluded=bool(is_excluded),
    )


def _advice(error: sqlite3.Error) -> str:
    if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "the file is damaged: end this, keep a copy of it and move it away"
    return "make room, or look who holds it"


def _opened(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            _prepare(path, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"{path} could not be opened: {error}; choose a place that you may write to") from None
        raise RecordsError(f"{path} is no file of answers ({error}); move it away") from None
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("BEGIN IMMEDIATE")  # two servers may begin at once
    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if is_new:
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    _check(path, connection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # else a transaction that has ended could be lost with the power
    connection.execute("PRAGMA foreign_keys = ON")


def _check(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise RecordsError(f"{path} is no file of answers that `evalkit annotate` wrote; move it away")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise RecordsError(
            f"{path} is of version {version}, and this evalkit reads version {VERSION}; use the other one"
        )


def _to_read(path: Path) -> str:
    # Beside a file in WAL mode SQLite makes others, even to read it, unless it is told that nobody writes.
    is_still = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.resolve().as_uri()}?{'immutable=1' if is_still else 'mode=ro'}"
