"""Embeddings kept on disk by the content of their text: one SQLite file an encoder.

SQLite's rollback journal makes it safe with several writers, on network drives, and after `kill -9`. It is a cache: a
damaged file is begun anew, and one that cannot be written is done without, with a warning.
"""

from __future__ import annotations

import hashlib
import sqlite3
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evalkit.plumbing.files import cache_folder

Floats = NDArray[np.float32]
Result = TypeVar("Result")
_WAIT_SECONDS = 60
_KEYS_A_QUERY = 500
_LENGTH_TOLERANCE = 1e-3


def key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()


def look_up(encoder: str, keys: Sequence[bytes], dimensions: int) -> dict[bytes, Floats]:
    """Those of `keys` that are stored, with their (dimensions,) vectors; damaged ones are left out."""

    def read(connection: sqlite3.Connection) -> dict[bytes, Floats]:
        vectors = {}
        for start in range(0, len(keys), _KEYS_A_QUERY):
            wanted = keys[start : start + _KEYS_A_QUERY]
            marks = ",".join("?" * len(wanted))
            rows = connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", wanted)  # noqa: S608
            vectors.update(
                {name: np.frombuffer(blob, dtype="<f4") for name, blob in rows if len(blob) == 4 * dimensions}
            )
        return {name: vector for name, vector in vectors.items() if abs(vector @ vector - 1) < _LENGTH_TOLERANCE}

    return _with_connection(encoder, read) or {}


def store(encoder: str, vectors: Mapping[bytes, Floats]) -> None:
    """Add vectors of length 1, all or none."""

    def write(connection: sqlite3.Connection) -> None:
        rows = [(name, vector.astype("<f4").tobytes()) for name, vector in vectors.items()]
        connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        connection.commit()

    _with_connection(encoder, write)


def _with_connection(encoder: str, use: Callable[[sqlite3.Connection], Result]) -> Result | None:
    try:
        path = cache_folder(f"embeddings/{encoder}") / "vectors.sqlite"
        return _connected(path, use)
    except (OSError, sqlite3.OperationalError) as error:
        warnings.warn(f"embedding cache of {encoder}: {error}; going on without it", stacklevel=2)
    except sqlite3.DatabaseError as error:
        warnings.warn(f"embedding cache {path}: {error}; begun anew", stacklevel=2)
        path.unlink(missing_ok=True)
    return None


def _connected(path: Path, use: Callable[[sqlite3.Connection], Result]) -> Result:
    with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        return use(connection)
