"""A verdict in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from evalkit.gate.decide import GateDecision, Judgement
from evalkit.gate.formats import words
from evalkit.plumbing.terminal import visible_text

_STYLES = {"regression": "bold red", "inconclusive": "yellow", "pass": "green"}


def show(verdict: GateDecision, policy: str) -> None:
    """Headline, a table a pair of arms with one row a judgement, remarks, and what the numbers are."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(visible_text(words.headline(verdict), style=_STYLES[verdict.outcome]))
    if shared := words.shared(verdict):
        console.print(visible_text(shared))
    for note in words.notes(verdict):
        console.print(visible_text(note, style="yellow"))
    for arms in dict.fromkeys(map(words.arms, verdict.judgements)):
        of_pair = [judgement for judgement in verdict.judgements if words.arms(judgement) == arms]
        console.print(visible_text(f"\n{arms}", style="bold"))
        console.print(_table(of_pair))
        for line in words.remarks(of_pair):
            console.print(visible_text(line))
    errs = f"each bound errs with probability {1 - verdict.confidence:.2g}"
    console.print(visible_text(f"\n{verdict.new} against {verdict.old}; policy: {policy}; {errs}"))


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
        outcome = visible_text(words.OUTCOMES[judgement.outcome].lower(), style=_STYLES[judgement.outcome])
        table.add_row(outcome, *map(visible_text, cells))
    return table
