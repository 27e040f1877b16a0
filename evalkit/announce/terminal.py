"""A verdict in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalkit.announce import words
from evalkit.gate import Verdict

_STYLES = {"regression": "bold red", "inconclusive": "yellow", "pass": "green"}


def show(verdict: Verdict, policy: str) -> None:
    """Headline, one row a judgement, and what the numbers are."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(Text(words.headline(verdict), style=_STYLES[verdict.outcome]))
    table = Table("", "measure", "arm", "change (+ is better)", "allowed", "prompts", "", box=None, header_style="bold")
    for judgement in verdict.judgements:
        cells = (
            words.metric_name(judgement),
            words.arms(judgement),
            words.moved(judgement),
            words.allowed(judgement),
            str(judgement.prompts),
            words.remark(judgement),
        )
        outcome = Text(words.OUTCOMES[judgement.outcome].lower(), style=_STYLES[judgement.outcome])
        table.add_row(outcome, *(Text(cell) for cell in cells))
    console.print(table)
    console.print(Text(f"{verdict.new} against {verdict.old}; policy: {policy}; each bound errs with probability "
                       f"{1 - verdict.confidence:.2g}"))  # fmt: skip
