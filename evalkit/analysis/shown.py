"""How many of a large run's completions a page carries: the first of every prompt's under every arm, equally many."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evalkit.metrics.summary import Summary
from evalkit.plumbing.lazily import each, is_lazy
from evalkit.records import Group, Groups

MOST = 200_000
"""Completions on a page; of more its blocks alone would take over 30 MB, and minutes to pack."""


def shown_of(summary: Summary) -> int | None:
    """Of each prompt's completions under each arm so many are on the page; None: all of them."""
    samples = max((estimate.samples for estimate in summary.estimates), default=0)
    lists = len(summary.prompts) * len(summary.arms)
    return None if lists * samples <= MOST else max(1, MOST // lists)


@dataclass(frozen=True)
class First:
    """Groups of so many of their completions, with their texts and embeddings alone."""

    count: int

    def __call__(self, index: int, group: Group) -> Group:
        texts = tuple(replace(one, token_ids=(), logprobs=()) for one in group.completions[: self.count])
        embeddings = None if group.embeddings is None else group.embeddings[: self.count].copy()
        return Group(group.prompt, texts, embeddings, tokenizer=group.tokenizer)


def in_memory(groups: Groups, shown: int | None) -> Groups:
    """Those that maps are drawn of: both maps go through them again and again. `shown`: as `shown_of` says."""
    if shown is None and not is_lazy(groups):
        return groups
    return {arm: list(each(of_arm, First(shown or MOST))) for arm, of_arm in groups.items()}
