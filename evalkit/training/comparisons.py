"""Preferences as tokens: what reward models and DPO learn from, some prompts' held out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.checkpoints.folder import context_length
from evalkit.plumbing.progress import Listener
from evalkit.preferences.files import Preference
from evalkit.preferences.layouts.turns import messages_of
from evalkit.records import Prompt
from evalkit.training.models import Policy

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """A preference as tokens; each completion is closed by the end of sequence."""

    prompt: Ids
    chosen: Ids
    rejected: Ids
    group: str | None = None
    target: float = 1.0
    """Probability with which the chosen one is preferred: 1, or 1/2 of a tie."""
    is_conversation: bool = False
    """Whether the prompt is more than one user turn."""
    source: int = -1
    """Which of the preferences it is."""


def prompt_ids(policy: Policy, preferences: Sequence[Preference], room: int) -> dict[str, Ids]:
    """Token ids of each different prompt, in order.

    Raises `InputError` where one leaves no room for a completion of `room` tokens.
    """
    texts = tuple(dict.fromkeys(preference.prompt for preference in preferences))
    # A base model reads the transcript, which the chat template of its reward model writes too.
    turns = {} if policy.spec.kind == "base" else {row.prompt: row.turns for row in preferences}
    prompts = tuple(Prompt(text[:60], text, messages=messages_of(turns.get(text, ()))) for text in texts)
    return dict(zip(texts, policy.prompt_ids(prompts, room), strict=True))


def compare(policy: Policy, preferences: Sequence[Preference], ids: Mapping[str, Ids]) -> list[Comparison]:
    """Preferences as tokens; white space around a completion is no part of it."""
    return [
        Comparison(
            ids[preference.prompt],
            tuple(policy.response_ids(preference.chosen.strip())),
            tuple(policy.response_ids(preference.rejected.strip())),
            preference.group,
            preference.target,
            bool(preference.turns),
            source,
        )
        for source, preference in enumerate(preferences)
    ]


def split(
    policy: Policy,
    preferences: Sequence[Preference],
    comparisons: Iterable[Comparison],
    held: Collection[str],
    tell: Listener,
) -> tuple[list[Comparison], list[Comparison]]:
    """Those to train on, and those of the prompts `held` out; what the model's context cannot hold is left out."""
    sides: tuple[list[Comparison], list[Comparison]] = ([], [])
    for preference, comparison in zip(preferences, comparisons, strict=True):
        if fits(policy, comparison):
            sides[preference.prompt in held].append(comparison)
    left_out = len(preferences) - sum(map(len, sides))
    if left_out:
        tell.note(f"{left_out} of {len(preferences)} preferences are longer than the model's context, and left out")
    return sides


def fits(policy: Policy, comparison: Comparison) -> bool:
    """Whether both exchanges fit into the model's context: nothing is cut to fit."""
    room = context_length(policy.checkpoint)
    return room is None or length(comparison) <= room


def length(comparison: Comparison) -> int:
    """Tokens of the longer exchange."""
    return len(comparison.prompt) + max(len(comparison.chosen), len(comparison.rejected))


def decided(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons that are no ties: the others say nothing of which reward is to be the higher."""
    return [comparison for comparison in comparisons if comparison.target == 1]
