"""A verdict and a comparison as a notebook shows them. Names from files are untrusted: the template escapes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.gate.compare import SideComparison
from evalkit.gate.decide import GateDecision
from evalkit.gate.formats import compare as comparing
from evalkit.gate.formats import words
from evalkit.report.html.render import fragment

_COLOURS = {"regression": "#a83f00", "inconclusive": "#6f6a61", "pass": "#00694d"}


@dataclass(frozen=True, slots=True)
class _Table:
    """One pair of arms."""

    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str]


def verdict_html(verdict: GateDecision, policy: str) -> str:
    """Headline, a table a pair of arms, remarks, and what the numbers are."""
    titles = ("", "measure", "change (+ is better)", "allowed", "prompts")
    tables = []
    for arms in dict.fromkeys(map(words.arms, verdict.judgements)):
        judgements = [judgement for judgement in verdict.judgements if words.arms(judgement) == arms]
        rows = [
            (
                words.OUTCOMES[judgement.outcome],
                words.metric_name(judgement),
                words.moved(judgement),
                words.allowed(judgement),
                words.prompt_count(judgement),
            )
            for judgement in judgements
        ]
        tables.append(_Table(arms, titles, rows, words.remarks(judgements)))
    facts = (
        f"{verdict.new} against {verdict.old}; policy: {policy}; each bound errs with probability "
        f"{1 - verdict.confidence:.2g}"
    )
    notes = [*filter(None, [words.shared(verdict)]), *words.notes(verdict)]
    return _html(words.headline(verdict), _COLOURS[verdict.outcome], notes, tables, facts)


def comparison_html(comparison: SideComparison) -> str:
    """A table a pair of arms: A, B and their difference."""
    titles = ("measure", "A", "B", "B − A", "Holm p", "")
    tables = [
        _Table(
            f"A: {words.name(comparison.a)}, {words.name(pair.a)}; B: {words.name(comparison.b)}, {words.name(pair.b)}",
            titles,
            [comparing.row_cells(row) for row in pair.rows],
            comparing.reasons(pair),
        )
        for pair in comparison.pairs
    ]
    return _html("B minus A, paired by prompt", "inherit", [], tables, comparing.footer(comparison))


def _html(headline: str, colour: str, notes: Sequence[str], tables: Sequence[_Table], facts: str) -> str:
    view = {"headline": headline, "colour": colour, "notes": notes, "tables": tables, "facts": facts}
    return fragment("gate.html.jinja", view)
