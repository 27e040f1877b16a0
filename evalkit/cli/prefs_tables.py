"""What `evalkit prefs stats` prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table

from evalkit.plumbing.prose import counted
from evalkit.plumbing.terminal import visible, visible_text
from evalkit.preferences.agreement.plain import plain
from evalkit.preferences.agreement.report import AnnotationReport, CouplesKappa, Habits
from evalkit.preferences.agreement.two_way import PAIRS, Estimate

MOST_COUPLES = 10
"""Pairs of raters in the table, those who agree least; the JSON has all."""


def report_json(report: AnnotationReport) -> str:
    """All figures; what is undefined is null."""
    return json.dumps(plain(report), indent=1, ensure_ascii=False)


def print_report(report: AnnotationReport) -> None:
    """Tables in the order in which one asks: who, how, who with whom, whom to doubt."""
    everybody = report.everybody
    click.echo(
        f"{counted(everybody.answers, 'answer')} of {counted(everybody.raters, 'rater')} in "
        f"{counted(len(report.groups), 'group')} to {counted(report.pairs, 'pair')}; {everybody.skipped:,} skipped, "
        f"{everybody.excluded:,} of excluded raters"
    )
    rows = [("all", everybody), *((f"group {habits.group}", habits) for habits in report.groups)]
    rows += [(f"{habits.group}: {habits.rater}", habits) for habits in report.raters]
    _print("How they answer", ("", *_HABITS), ((name, *_habits(habits)) for name, habits in rows))
    _print(
        "Agreement inside",
        ("raters of", "raw", "Fleiss' kappa", "Krippendorff's alpha"),
        ((row.group or "all groups", *map(_share, (row.raw, row.fleiss, row.krippendorff))) for row in report.within),
    )
    if report.between:
        _print(
            "Agreement between",
            ("groups", "raw", "Cohen's kappa"),
            ((" and ".join(row.groups), _share(row.raw), _share(row.cohen)) for row in report.between),
        )
        _print(
            "What their disagreement is made of",
            ("groups", "all", "noise", "persons", "values", "noise's share"),
            (
                (
                    " and ".join(row.groups),
                    *map(_share, (parts.total, parts.noise, parts.persons, parts.values, parts.noise_share)),
                )
                for row in report.between
                for parts in [row.disagreement]
            ),
        )
    _print_couples(report.couples)
    click.echo("\nRaters to doubt:" if report.doubts else "\nNo rater is in doubt.")
    for doubt in report.doubts:
        click.echo(visible(f"  {doubt.group}: {doubt.rater}: {doubt.kind} ({doubt.says})"))
    click.echo(
        "\nIntervals are 95 %, over pairs and raters; * over pairs alone, where raters are too few to be a sample."
    )


_HABITS = ("answers", "seconds", "an hour", "on the left", "ties", "same again", "gold passed")


def _habits(habits: Habits) -> tuple[str, ...]:
    shares = (habits.left, habits.ties, habits.consistent, habits.gold)
    return f"{habits.answers:,}", _number(habits.seconds["0.5"], 1), _number(habits.pace, 0), *map(_share, shares)


def _print_couples(couples: Sequence[CouplesKappa]) -> None:
    if not couples:
        return
    least = sorted(couples, key=lambda row: (math.isnan(row.cohen.value), row.cohen.value))[:MOST_COUPLES]
    more = f", the {len(least)} lowest of {len(couples)}" if len(couples) > len(least) else ""
    _print(
        f"Cohen's kappa of two raters{more}",
        ("raters", "pairs", "kappa"),
        (
            (
                " and ".join(f"{group}: {rater}" for group, rater in zip(row.groups, row.raters, strict=True)),
                f"{row.cohen.pairs:,}",
                _share(row.cohen),
            )
            for row in least
        ),
    )


def _print(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    click.echo(f"\n{title}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*(visible_text(cell) for cell in row))
    Console().print(table)


def _share(estimate: Estimate) -> str:
    return _number(estimate, 2)


def _number(estimate: Estimate, digits: int) -> str:
    if math.isnan(estimate.value):
        return "-"
    if math.isnan(estimate.low):
        return f"{estimate.value:,.{digits}f}"
    mark = "*" if estimate.over == PAIRS else ""
    return f"{estimate.value:,.{digits}f} ({estimate.low:,.{digits}f} to {estimate.high:,.{digits}f}){mark}"
