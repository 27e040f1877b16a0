"""The metrics there are, as lines: whole sentences in a narrow terminal, a metric a line for another program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from evalkit.metrics.declaration import Definition

TITLES = ("metric", "better", "unit", "parameters", "what it is")
_DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "neither": "no better direction"}
_GAP = "  "
_INDENT = " " * 4


def catalogue(definitions: Iterable[Definition], width: int | None) -> list[str]:
    """A table where it fits into `width` columns, else a few lines a metric. None: a table, however wide."""
    known = list(definitions)
    table = _table(known)
    if width is None or max(map(len, table)) <= width:
        return table
    return [line for definition in known for line in _stack(definition, width)]


def _table(known: Sequence[Definition]) -> list[str]:
    rows = [TITLES, *((d.name, d.better, d.unit, d.parameter_words, d.summary) for d in known)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_GAP.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _stack(definition: Definition, width: int) -> Iterator[str]:
    """Its name with what there is to say of the number, then what it is."""
    parameters = definition.parameter_words
    facts = f"{definition.unit}, {_DIRECTIONS[definition.better]}{f'; {parameters}' if parameters else ''}"
    yield from _wrapped(f"{definition.name}{_GAP}({facts})", width, "")
    yield from _wrapped(definition.summary, width, _INDENT)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """No word is broken, be it wider than the terminal."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
