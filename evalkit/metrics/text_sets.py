"""A text set: all completions of all arms to the prompts of a run. Its words are split by one tokenizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import SPACED, Asked, Name, choose, signature
from evalkit.records import Group

Groups = Mapping[str, Sequence[Group]]
"""Arm name -> one group a prompt, in prompt order."""


def split_alike(groups: Groups, asked: Asked, tell: Listener) -> dict[str, list[Group]]:
    """The groups with the tokenizer that is asked for, or the one that fits the scripts of all of them together.

    Raises `MetricError` where a package of it is missing.
    """
    name = _fitting(groups, tell) if asked == "auto" else asked
    signature(name)
    return {arm: [dataclasses.replace(group, tokenizer=name) for group in own] for arm, own in groups.items()}


def words_of(groups: Groups) -> str:
    """Signature of what splits the words of these groups."""
    return signature(next((group.tokenizer for own in groups.values() for group in own), SPACED))


def _fitting(groups: Groups, tell: Listener) -> Name:
    members = [group for own in groups.values() for group in own]
    prompts = {group.prompt.id: group.prompt.text for group in members}
    name, share = choose(prompts.values(), (c.text for group in members for c in group.completions))
    if name != SPACED:
        tell.note(f"words are split by {name}: {share:.0%} of the letters are of scripts without spaces between words")
    return name
