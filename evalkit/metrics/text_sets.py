"""A text set: all completions of all arms to the prompts of a run. Its words are split by one tokenizer."""

from __future__ import annotations

import dataclasses

from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import SPACED, Asked, Name, choose, signature
from evalkit.records import Group, Groups


def split_alike(groups: Groups, tokenizer: Asked, tell: Listener) -> dict[str, list[Group]]:
    """The groups with the tokenizer that is asked for, or the one that fits the scripts of all of them together.

    Raises `MetricError` where a package of it is missing.
    """
    name = _fitting(groups, tell) if tokenizer == "auto" else tokenizer
    signature(name)
    return {arm: [dataclasses.replace(group, tokenizer=name) for group in of_arm] for arm, of_arm in groups.items()}


def words_of(groups: Groups) -> str:
    """Signature of what splits the words of these groups."""
    return signature(next((group.tokenizer for of_arm in groups.values() for group in of_arm), SPACED))


def _fitting(groups: Groups, tell: Listener) -> Name:
    members = [group for of_arm in groups.values() for group in of_arm]
    prompts = {group.prompt.id: group.prompt.text for group in members}
    name, share = choose(prompts.values(), (completion.text for group in members for completion in group.completions))
    if name != SPACED:
        tell.note(f"words are split by {name}: {share:.0%} of the letters are of scripts without spaces between words")
    return name
