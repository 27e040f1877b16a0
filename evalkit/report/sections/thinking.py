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


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of one prompt's completions."""

    completions: int
    thoughts: int
    """How many of them have their thinking apart."""
    words: int
    """Words of that thinking."""
    tokens: int
    untold: int
    """Completions of which the engine did not tell tokens."""


def _row(content: ReportContent, arm: str, groups: Sequence[Group]) -> ThinkingRow:
    counts = [(_count(group.unfinished, group), _count(group.completions, group)) for group in groups]
    unfinished = [of_prompt for of_prompt, _ in counts]
    every = [one for of_prompt in counts for one in of_prompt]
    completions, cut = _sum(every, "completions"), _sum(unfinished, "completions")
    share = cut / completions if completions else 0.0
    mean = _sum(every, "words") / max(1, _sum(every, "thoughts"))
    return ThinkingRow(
        arm,
        f"{share:.0%} ({cut:,} of {counted(completions, 'completion')})",
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


def _count(completions: Sequence[Completion], group: Group) -> _Counts:
    split = tokenizer(group.tokenizer)
    lengths = [len(split(one.thinking)) for one in completions if one.thinking is not None]
    tokens = [len(one.token_ids) for one in completions]
    return _Counts(len(completions), len(lengths), sum(lengths), sum(tokens), tokens.count(0))


def _sum(counts: Sequence[_Counts], what: str) -> int:
    return sum(getattr(one, what) for one in counts)


def _tokens(every: Sequence[_Counts], unfinished: Sequence[_Counts]) -> str:
    """Engines count thinking and answer together; what was cut inside its thinking is thinking alone."""
    if not _sum(every, "completions") or _sum(every, "untold"):
        return ""
    said = f"; {_mean_tokens(every):.0f} tokens with the answer"
    return f"{said}, {_mean_tokens(unfinished):.0f} where it was cut" if _sum(unfinished, "completions") else said


def _mean_tokens(counts: Sequence[_Counts]) -> float:
    return _sum(counts, "tokens") / _sum(counts, "completions")
