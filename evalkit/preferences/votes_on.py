"""Which votes are on a run's own completions, and not on those of another run whose arms have the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.records import Groups

Texts: TypeAlias = Mapping[tuple[str, str, int], str]
"""Arm, prompt id and sample index -> what was drawn."""


def votes_on(groups: Groups, votes: Sequence[Annotation]) -> list[Annotation]:
    """Votes whose draws have the same texts here; those that name no draw, or an arm that is not here, are kept."""
    drawn = {draw for vote in votes for draw, _ in _draws(vote.comparison)}
    texts = {
        draw: completion.text.strip()
        for arm, members in groups.items() if any(named == arm for named, _, _ in drawn)
        for group in members
        for completion in group.completions
        if (draw := (arm, group.prompt.id, completion.sample_index)) in drawn
    }  # fmt: skip
    return [vote for vote in votes if _is_here(vote.comparison, groups, texts)]


def _is_here(comparison: Comparison, groups: Groups, texts: Texts) -> bool:
    return all(texts.get(draw) == text for draw, text in _draws(comparison) if draw[0] in groups)


def _draws(comparison: Comparison) -> list[tuple[tuple[str, str, int], str]]:
    """Both draws with their texts; none where the comparison names none."""
    if comparison.arms is None or comparison.sample_indices is None:
        return []
    texts = (comparison.pair.a.strip(), comparison.pair.b.strip())
    places = zip(comparison.arms, comparison.sample_indices, texts, strict=True)
    return [((arm, comparison.pair.prompt_id, index), text) for arm, index, text in places]
