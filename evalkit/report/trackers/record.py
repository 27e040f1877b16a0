"""What a tracker is told of one finished run or training: bounded, and no completion among it but those on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from evalkit.checkpoints.training_log import Row, step_of
from evalkit.plumbing.arrays import is_number

LONGEST_NAME = 250
"""Letters of a scalar's name; MLflow takes no more."""
Cell = str | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A row a prompt and arm, of the values of every measure."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def first(self, most: int) -> tuple[list[tuple[Cell, ...]], str]:
        """The first rows, and in words what was left out; empty where nothing was."""
        left = len(self.rows) - most
        note = f"the table holds the first {most:,} of {len(self.rows):,} rows" if left > 0 else ""
        return list(self.rows[:most]), note


@dataclass(frozen=True, slots=True)
class Record:
    """One run or training, as every tracker takes it."""

    name: str
    """What the run is called there."""
    job: Literal["run", "score", "train"]
    folder: Path
    """Where it lies here; for texts that were scored, where it would."""
    config: Mapping[str, Any]
    """Settings, checkpoints with their fingerprints, versions; nested."""
    headline: str
    page: str
    """HTML."""
    page_name: str = "report.html"
    tags: tuple[str, ...] = ()
    group: str = ""
    """What it stands together with: the checkpoints of one training."""
    scalars: Mapping[str, float] = field(default_factory=dict)
    table: Table | None = None
    curves: Sequence[Row] = ()
    """Of a training, keyed by their `update` or `step`."""

    @property
    def counted(self) -> Literal["update", "step"]:
        """What the curves' axis counts."""
        return "update" if self.curves and "update" in self.curves[0] else "step"

    def points(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The curves' numbers, by step; what is no finite number is left out."""
        for row in self.curves:
            named = unique_names(row)
            yield (
                step_of(row),
                {named[key]: float(value) for key, value in row.items() if key != self.counted and is_number(value)},
            )


def unique_names(names: Iterable[str]) -> dict[str, str]:
    """Name -> what every tracker takes as one: letters, digits and `_ . / -`, no two alike."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w./-]+", "_", name).strip("_/")
        plain = re.sub(r"/+", "/", plain)[: LONGEST_NAME - 4] or "_"
        unique = next(way for way in _ways(plain) if way not in taken)
        taken.add(unique)
        made[name] = unique
    return made


def _ways(plain: str) -> Iterator[str]:
    yield plain
    yield from (f"{plain}_{number}" for number in range(2, 1000))


def flat(config: Mapping[str, Any], most: int) -> dict[str, str]:
    """The settings as `outer.inner` -> text, the first `most`; lists as JSON."""

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                yield from walk(inner, (*path, str(key)))
        else:
            yield ".".join(path), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    settings = dict(islice(walk(config, ()), most))
    named = unique_names(settings)
    return {named[key]: text for key, text in settings.items()}
