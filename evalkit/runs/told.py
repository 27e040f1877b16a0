"""How many answers were asked for, how many could be told, and why the others could not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.plumbing.prose import counted, listed
from evalkit.records import Fault, Group

FAULTS: Mapping[Fault, str] = {
    "cut": "cut at max_tokens",
    "missing": "not given",
    "unread": "in completions that hold no list",
}
"""Why an answer that was asked for is not there, in words."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many answers an arm was asked for, and how many there are."""

    draws: int
    """Completions."""
    asked: int
    """Answers: those that each completion was asked for, together."""
    told: int
    """Those that could be told."""
    lost: Mapping[Fault, int]
    """Why the others could not; only reasons that there are."""
    surplus: int
    """Of those that could be told, those beyond the n of a prompt."""
    extra: int
    """Answers that completions held beyond what they were asked for: they are not read."""
    tokens: int
    """Of all completions; 0 where the engine does not tell."""
    stated: int
    """Answers with a probability, of those that could be told."""

    @property
    def measured(self) -> int:
        return self.told - self.surplus


def told(groups: Sequence[Group]) -> Told:
    """Of one arm, whose groups have all that was asked for: what is measured, and `Group.unfinished`."""
    items = [
        (group.prompt.id, one.item)
        for group in groups
        for one in (*group.completions, *group.unfinished)
        if one.item is not None
    ]
    draws = {(prompt, item.wording, item.draw): item for prompt, item in items}
    faults = [item.fault for _, item in items if item.fault is not None]
    lost: dict[Fault, int] = {fault: faults.count(fault) for fault in FAULTS if fault in faults}
    asked, per_draw = len(items), len(items) // max(1, len(draws))
    return Told(
        draws=len(draws),
        asked=asked,
        told=asked - sum(lost.values()),
        lost=lost,
        surplus=faults.count("surplus"),
        extra=sum(max(0, item.written - per_draw) for item in draws.values()),
        tokens=sum(item.tokens for item in draws.values()),
        stated=sum(item.probability is not None and item.fault in (None, "surplus") for _, item in items),
    )


def tokens_of(groups: Sequence[Group]) -> int:
    """Of all that was drawn for them, answers of a list taken together."""
    return sum(map(_tokens_of, groups))


def _tokens_of(group: Group) -> int:
    every = (*group.completions, *group.unfinished)
    if any(one.item is not None for one in every):
        return told([group]).tokens
    return sum(len(one.token_ids) for one in every)


def lost_words(counts: Told) -> str:
    """What is not there, and why."""
    why = listed([f"{number:,} {FAULTS[fault]}" for fault, number in counts.lost.items()])
    return (
        f"{counts.asked:,} answers were asked for in {counted(counts.draws, 'completion')}, {counts.told:,} could be "
        f"told; {why}"
    )
