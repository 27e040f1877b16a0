"""Tables of the training page: how rater groups disagree, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = ("total", "noise", "persons", "values", "noise_share")


@dataclass(frozen=True, slots=True)
class GroupTable:
    """One table, its cells as they are shown."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables_of(disagreement: Mapping[str, Any]) -> list[GroupTable]:
    """The tables that have rows, of what groups.json says of the groups' `disagreement`."""
    models = disagreement.get("models", {})
    votes = disagreement.get("votes", ())
    tables = [
        GroupTable(
            "What their disagreement is made of",
            ("groups", "disagreement", "noise", "persons", "values", "noise's share"),
            [[_groups(row), *(_estimate(row[part]) for part in PARTS)] for row in disagreement.get("between", ())],
        ),
        *(_partings(f"{by.capitalize()}s on which votes part most", by, votes) for by in ("prompt", "tag")),
        _partings(
            "Held-out prompts on which reward models of the groups part most: mean difference of probabilities",
            None,
            models.get("prompts", ()),
        ),
        GroupTable(
            "Held-out pairs on which they part most",
            ("prompt", "groups", "a", "b", "prefer a"),
            [[row["prompt"], _groups(row), row["a"], row["b"], _both(row)] for row in models.get("pairs", ())],
        ),
    ]
    return [table for table in tables if table.rows]


def _partings(title: str, by: str | None, rows: Sequence[Mapping[str, Any]]) -> GroupTable:
    chosen = [row for row in rows if by in (None, row.get("by"))]
    cells = [[row["name"], _groups(row), str(row["pairs"]), _estimate(row)] for row in chosen]
    return GroupTable(title, (by or "prompt", "groups", "pairs", "they differ"), cells)


def _both(row: Mapping[str, Any]) -> str:
    one, other = row["prefers_a"]
    return f"{row['groups'][0]} {one:.0%}, {row['groups'][1]} {other:.0%}"


def _groups(row: Mapping[str, Any]) -> str:
    return " and ".join(row["groups"])


def _estimate(part: Mapping[str, Any]) -> str:
    if part["value"] is None:
        return "–"
    interval = "" if part["low"] is None else f" ({part['low']:.2f} to {part['high']:.2f})"
    return f"{part['value']:.2f}{interval}".replace("-", "−")
