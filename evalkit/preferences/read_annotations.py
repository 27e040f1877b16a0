"""Files of annotations, whatever they are: a page's SQLite store or JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted
from evalkit.plumbing.unread import Notice, say
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.annotation_files import read_annotation_rows

SQLITE = b"SQLite format 3\x00"
KEYS = {"a", "b", "choice", "order"}
"""What a first row of annotations has, and no row of preferences."""


def read_annotations(paths: Iterable[str | Path], notice: Notice = say) -> list[Annotation]:
    """All annotations of files, in order; the same answer in several files, a store and its export, once.

    `notice` is told of that, and of keys that are not read. Raises `RecordsError`.
    """
    every = [annotation for path in map(Path, paths) for annotation in _read(path, notice)]
    once: dict[tuple[object, ...], Annotation] = {}
    for annotation in every:
        once.setdefault(_answer(annotation), annotation)
    if len(once) < len(every):
        notice(f"{counted(len(every) - len(once), 'answer')} given more than once, in these files: counted once")
    return list(once.values())


def holds_annotations(path: Path) -> bool:
    """Whether a file is a store of annotations, or JSONL whose first row is one; False where there is no such file."""
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE)) == SQLITE:
                return True
            file.seek(0)
            row = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and set(row) >= KEYS


def _answer(one: Annotation) -> tuple[object, ...]:
    """What two records of one answer have in common."""
    asked = (one.comparison.id, one.comparison.arms, one.comparison.sample_indices, one.comparison.gold, one.is_repeat)
    return (one.group, one.rater, *asked, one.choice, one.first, one.at, one.seconds)


def _read(path: Path, notice: Notice) -> list[Annotation]:
    if not path.is_file():
        raise RecordsError(f"there is no file {path}; annotations are a .sqlite store or JSONL")
    with path.open("rb") as file:
        is_store = file.read(len(SQLITE)) == SQLITE
    if not is_store:
        return read_annotation_rows(path, notice)
    from evalkit.preferences.annotate.store import read_store

    return read_store(path)
