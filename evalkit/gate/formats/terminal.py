"""A verdict in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalkit.gate.decide import GateDecision, Judgement
from evalkit.gate.formats import words

_STYLES = {"regression": "bold red", "inconclusive": "yellow", "pass": "green"}


def show(verdict: GateDecision, policy: str) -> None:
    """Headline, a table a pair of arms with one row a judgement, remarks, and what the numbers are."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(Text(words.headline(verdict), style=_STYLES[verdict.outcome]))
    if shared := words.shared(verdict):
        console.print(Text(shared))
    for note in words.notes(verdict):
        console.print(Text(note, style="yellow"))
    for arms in dict.fromkeys(map(words.arms, verdict.judgements)):
        of_pair = [judgement for judgement in verdict.judgements if words.arms(judgement) == arms]
        console.print(Text(f"\n{arms}", style="bold"))
        console.print(_table(of_pair))
        for line in words.remarks(of_pair):
            console.print(Text(line))
    console.print(Text(f"\n{verdict.new} against {verdict.old}; policy: {policy}; each bound errs with probability "
                       f"{1 - verdict.confidence:.2g}"))  # fmt: skip


def _table(judgements: Sequence[Judgement]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("measure", overflow="fold")
    for title in ("change (+ is better)", "allowed", "prompts"):
        table.add_column(title)
    for judgement in judgements:
        cells = (
            words.metric_name(judgement),
            words.moved(judgement),
            words.allowed(judgement),
            words.prompt_count(judgement),
        )
        outcome = Text(words.OUTCOMES[judgement.outcome].lower(), style=_STYLES[judgement.outcome])
        table.add_row(outcome, *map(Text, cells))
    return table
