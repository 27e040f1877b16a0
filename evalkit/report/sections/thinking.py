"""The card of arms that think before they answer: how many came to no answer, and how long the thinking is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.plumbing.prose import counted
from evalkit.plumbing.tokenizer import tokenizer
from evalkit.records import Completion, Group
from evalkit.report.content.content import ReportContent


@dataclass(frozen=True, slots=True)
class ThinkingRow:
    """One arm."""

    arm: str
    unfinished: str
    """Share of its completions that were cut before an answer, with both numbers."""
    words: str
    """Mean length of the thinking, of unfinished as far as it goes."""
    tokens: str
    """What is known of tokens, in words; empty where the engine does not tell them."""


def rows(content: ReportContent) -> list[ThinkingRow]:
    """A row for each arm that thinks, in the summary's order."""
    arms = [arm.name for arm in content.summary.arms if arm.thinking is not None]
    return [_row(content, arm, content.groups[arm]) for arm in arms if content.groups.get(arm)]


def _row(content: ReportContent, arm: str, groups: Sequence[Group]) -> ThinkingRow:
    unfinished = [completion for group in groups for completion in group.unfinished]
    every = [*(completion for group in groups for completion in group.completions), *unfinished]
    split = tokenizer(groups[0].tokenizer)
    lengths = [len(split(completion.thinking)) for completion in every if completion.thinking is not None]
    share = len(unfinished) / len(every) if every else 0.0
    mean = sum(lengths) / len(lengths) if lengths else 0.0
    return ThinkingRow(
        arm,
        f"{share:.0%} ({len(unfinished):,} of {counted(len(every), 'completion')})",
        f"{mean:.1f} words",
        _counted(content, arm) or _tokens(every, unfinished),
    )


def _counted(content: ReportContent, arm: str) -> str:
    """Tokens of the thinking by itself, where the suite measured them."""
    means = {estimate.metric: estimate.value for estimate in content.summary.estimates if estimate.arm == arm}
    tokens, share = means.get("thinking_tokens"), means.get("thinking_share")
    parts = [
        f"{tokens:.0f} tokens" if tokens is not None else "",
        f"{share:.0%} of all tokens" if share is not None else "",
    ]
    said = ", ".join(part for part in parts if part)
    return f"; before an answer {said}" if said else ""


def _tokens(every: Sequence[Completion], unfinished: Sequence[Completion]) -> str:
    """Engines count thinking and answer together; what was cut inside its thinking is thinking alone."""
    if not every or not all(completion.token_ids for completion in every):
        return ""
    said = f"; {_mean_tokens(every):.0f} tokens with the answer"
    return f"{said}, {_mean_tokens(unfinished):.0f} where it was cut" if unfinished else said


def _mean_tokens(completions: Sequence[Completion]) -> float:
    return sum(len(completion.token_ids) for completion in completions) / len(completions)
