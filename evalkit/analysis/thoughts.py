"""Groups get what was thought before their answers, as texts that metrics can be taken on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from evalkit.metrics.declaration import Need
from evalkit.metrics.embeddings.attach import embed_groups
from evalkit.metrics.embeddings.encoder import Encoder
from evalkit.metrics.registry import Measure
from evalkit.plumbing.lazily import each
from evalkit.plumbing.progress import Listener
from evalkit.records import Group, Groups


def with_thoughts(groups: Groups, measures: Iterable[Measure], encoder: Encoder, tell: Listener) -> Groups:
    """The groups with `Group.thoughts`, embedded where a measure of thinking needs that; as they are where none is."""
    needs: set[Need] = set()
    for measure in measures:
        if "thinking" in measure.definition.needs:
            needs |= measure.definition.needs
    if not needs:
        return groups
    thoughts: Groups = {arm: each(members, _thoughts) for arm, members in groups.items()}
    if "embeddings" in needs:
        thoughts = embed_groups(thoughts, tell, encoder, references=False)
    return {arm: each(members, Thoughts(thoughts[arm])) for arm, members in groups.items()}


@dataclass(frozen=True)
class Thoughts:
    """Groups get what was thought before their answers."""

    thoughts: Sequence[Group]

    def __call__(self, index: int, group: Group) -> Group:
        thought = self.thoughts[index]
        return group.having(thoughts=thought if thought.completions else None)


def _thoughts(index: int, group: Group) -> Group:
    """Of no completions where not all of the group's came after thinking."""
    thinking = [completion.thinking for completion in group.completions]
    known = [thought for thought in thinking if thought is not None]
    if len(known) < len(thinking):
        known = []
    completions = tuple(
        replace(completion, text=text) for completion, text in zip(group.completions, known, strict=False)
    )
    return Group(group.prompt, completions, tokenizer=group.tokenizer)
