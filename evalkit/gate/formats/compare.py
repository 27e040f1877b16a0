"""A comparison of two sides, in the terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from evalkit.analysis.clusters import sized
from evalkit.analysis.effects import Outcome
from evalkit.analysis.intervals import units
from evalkit.gate.compare import MetricRow, PairRows, SideComparison, left_out
from evalkit.gate.formats.words import name, one_line
from evalkit.metrics.summary import Difference, Estimate
from evalkit.metrics.word_use import WordShift
from evalkit.plumbing.prose import counted
from evalkit.plumbing.terminal import visible, visible_text
from evalkit.report.verdicts.where_changed import arm_stories, family_words
from evalkit.report.wording import LEVEL, interval_text, label, p_text, rate_text, value_text

MARKS: dict[Outcome | None, str] = {
    "gained": "▲ gained",
    "lost": "▼ lost",
    "changed": "◆ changed",
    "unclear": "· unclear",
    None: "≠ not compared",
}
STYLES: dict[Outcome | None, str] = {
    "gained": "green",
    "lost": "bold red",
    "changed": "cyan",
    "unclear": "",
    None: "yellow",
}
WORDS = 6
"""Words of either side that are named."""
UNBOUNDED = 10_000
"""Columns of a terminal that never breaks a line."""


def show(comparison: SideComparison) -> None:
    """A table a pair of arms; where it is too wide for the terminal, a few lines a metric.

    Without a terminal nothing is broken or cut: a line of the table is a line of the file.
    """
    console = Console(highlight=False)
    widest = max((_width(_table(pair)) for pair in comparison.pairs), default=0)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNBOUNDED, no_color=True)
    for pair in comparison.pairs:
        console.print(visible_text(f"A  {name(comparison.a)}: {name(pair.a)}"))
        console.print(visible_text(f"B  {name(comparison.b)}: {name(pair.b)}"))
        console.print(_table(pair) if widest <= console.width else _stack(pair))
        for line in (*reasons(pair), *word_lines(pair)):
            console.print(visible_text(line))
        for line in where_lines(pair):
            console.print(visible_text(line))
        console.print()
    console.print(visible_text(footer(comparison)))


def to_json(comparison: SideComparison) -> str:
    """Everything, without the values a prompt, which the sides themselves hold."""
    common = comparison.common
    fields = {
        "a": comparison.a,
        "b": comparison.b,
        "prompts": len(common.prompts),
        "clusters": units(comparison.clusters, 0) or None,
        "prompts_only_in_a": len(common.only_here),
        "prompts_only_in_b": len(common.only_there),
        "prompts_changed": len(common.changed),
        "left_out": {"only_in_a": common.only_here, "only_in_b": common.only_there, "changed": common.changed},
        "differences": comparison.tests,
        "pairs": [
            {
                "a": pair.a,
                "b": pair.b,
                "metrics": [_row_fields(row) for row in pair.rows],
                "where_changed": None if pair.where_changed is None else asdict(pair.where_changed),
                "words": None if pair.words is None else asdict(pair.words),
            }
            for pair in comparison.pairs
        ],
    }
    return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)


def where_lines(pair: PairRows) -> list[str]:
    """Where B differs from A most, a sentence a line, and how that was tested."""
    stories = arm_stories(pair.where_changed)
    if pair.where_changed is None or not stories:
        return []
    said = [f"  {one_line(line)}" for story in stories for line in story.lines]
    return ["Where it changed", *said, f"  ({family_words(pair.where_changed)})"]


def _row_fields(row: MetricRow) -> dict[str, Any]:
    known = row.a or row.b
    return {
        "metric": row.metric,
        "better": known.better if known else None,
        "a": _estimate_fields(row.a),
        "b": _estimate_fields(row.b),
        "difference": _difference_fields(row.difference),
        "outcome": row.outcome or "not compared",
        "why_not": row.why_not or None,
    }


def _estimate_fields(estimate: Estimate | None) -> dict[str, Any] | None:
    keys = ("value", "low", "high", "prompts", "samples", "signature")
    return None if estimate is None else {key: getattr(estimate, key) for key in keys}


def _difference_fields(difference: Difference | None) -> dict[str, Any] | None:
    keys = ("value", "low", "high", "p", "p_adjusted")
    return None if difference is None else {key: getattr(difference, key) for key in keys}


def _table(pair: PairRows) -> Table:
    table = Table("metric", "A", "B", "B − A", "Holm p", "", box=None, header_style="bold", pad_edge=False)
    for row in pair.rows:
        *cells, _ = row_cells(row)
        table.add_row(*(visible_text(cell, no_wrap=True) for cell in cells), _mark(row))
    return table


def row_cells(row: MetricRow) -> tuple[str, ...]:
    """Metric, A, B, their difference, p and what it means, as they are shown."""
    numbers = _number(row.a), _number(row.b), _difference(row), _p(row)
    return name(label(row.metric)), *numbers, MARKS[row.outcome]


def _stack(pair: PairRows) -> RenderableType:
    """The same for a narrow terminal."""
    lines: list[Text] = []
    for row in pair.rows:
        lines.append(Text(""))
        lines.append(Text.assemble((visible(name(label(row.metric))), "bold"), "  ", _mark(row)))
        parts = [("A", _number(row.a)), ("B", _number(row.b)), ("B − A", _difference(row)), ("Holm p", _p(row))]
        lines += [visible_text(f"  {title:<7}{text}") for title, text in parts if text]
    return Group(*lines)


def _width(table: Table) -> int:
    console = Console(width=UNBOUNDED)
    return console.measure(table).maximum


def _number(estimate: Estimate | None) -> str:
    return "" if estimate is None else _with_interval(value_text(estimate), interval_text(estimate))


def _difference(row: MetricRow) -> str:
    difference = row.difference
    return "" if difference is None else _with_interval(value_text(difference, signed=True), interval_text(difference))


def _with_interval(value: str, interval: str) -> str:
    return f"{value} ({interval})" if interval else value


def _p(row: MetricRow) -> str:
    return p_text(row.difference.p_adjusted).removeprefix("p ").removeprefix("= ") if row.difference else ""


def _mark(row: MetricRow) -> Text:
    return visible_text(MARKS[row.outcome], style=STYLES[row.outcome], no_wrap=True)


def reasons(pair: PairRows) -> list[str]:
    """Why some are not compared, those with one reason together."""
    metrics_by_reason: dict[str, list[str]] = {}
    for row in pair.rows:
        if row.why_not:
            metrics_by_reason.setdefault(row.why_not, []).append(label(row.metric))
    return [f"{MARKS[None]}: {name(', '.join(metrics))} ({name(why)})" for why, metrics in metrics_by_reason.items()]


def word_lines(pair: PairRows) -> list[str]:
    """What B says more and less than A, where that is known, with how often either says it."""
    change = pair.words
    if change is None:
        return []
    sides = (("more", change.gained), ("less", change.lost))
    return [
        f"B says {how} (per 1 000 words: B, A): {'; '.join(_rates(shift) for shift in shifts[:WORDS])}"
        for how, shifts in sides
        if shifts
    ]


def _rates(shift: WordShift) -> str:
    return f"“{name(shift.phrase)}” {rate_text(shift.per_thousand)}, {rate_text(shift.baseline_per_thousand)}"


def footer(comparison: SideComparison) -> str:
    """What the numbers are."""
    unit = "cluster" if comparison.clusters else "prompt"
    is_one = units(comparison.clusters, len(comparison.common.prompts)) < 2
    parts = [
        f"B minus A, paired by prompt over {sized(len(comparison.common.prompts), comparison.clusters)}",
        f"of one {unit} there are no intervals" if is_one else f"in brackets {LEVEL} intervals over {unit}s",
        f"p after Holm over {counted(comparison.tests, 'difference')}"
        if comparison.tests
        else "no difference was tested",
        one_line(left_out(comparison)),
    ]
    return f"{'; '.join(part for part in parts if part)}."
