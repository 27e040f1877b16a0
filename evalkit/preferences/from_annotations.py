"""Annotations as preferences: what of them is a vote, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, get_args

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted, listed
from evalkit.plumbing.unread import Notice
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.preference import Order, Preference, Winner

Left = Literal["skip", "gold", "repeat", "excluded"]
"""What is no vote: skipped, a check of attention, asked once more, of a rater who was excluded."""
LEFT: tuple[Left, ...] = get_args(Left)
_WORDS: dict[Left, str] = {
    "skip": "skipped",
    "gold": "of gold pairs",
    "repeat": "repeated",
    "excluded": "of excluded raters",
}


def kept(annotations: Sequence[Annotation], keep: Collection[Left] = ()) -> tuple[list[Annotation], str | None]:
    """The votes, and what is to be kept besides; and a sentence of what was left out, None where nothing was."""
    left: Counter[Left] = Counter()
    found = []
    for row in annotations:
        why = next((reason for reason in reasons(row) if reason not in keep), None)
        if why is None:
            found.append(row)
        else:
            left[why] += 1
    parts = [f"{left[reason]:,} {_WORDS[reason]}" for reason in LEFT if left[reason]]
    return found, f"{counted(left.total(), 'answer')} left out: {listed(parts)}" if parts else None


def reasons(row: Annotation) -> list[Left]:
    """Why an annotation is no vote; empty where it is one."""
    there = {
        "skip": row.choice == "skip",
        "gold": row.comparison.gold is not None,
        "repeat": row.is_repeat,
        "excluded": row.is_excluded,
    }
    return [reason for reason in LEFT if there[reason]]


def preferences_of(annotations: Sequence[Annotation], path: Path, notice: Notice) -> list[Preference]:
    """The votes of a file as preferences; `notice` is told what was left out. Raises `RecordsError` without any."""
    found, sentence = kept(annotations)
    if sentence:
        notice(f"{path}: {sentence}")
    if not found:
        raise RecordsError(f"{path} holds no votes: each answer is skipped, a check, a repeat or of an excluded rater")
    return [as_preference(row) for row in found]


def as_preference(row: Annotation) -> Preference:
    """One answer that is no skip; of a tie, a stands first."""
    pair, prompt = row.comparison.pair, row.comparison.pair.prompt
    chosen, rejected = (pair.b, pair.a) if row.choice == "b" else (pair.a, pair.b)
    winner: Winner = row.choice if row.choice in ("tie", "both_bad") else "chosen"
    order: Order = "chosen_first" if (row.first == "b") == (row.choice == "b") else "rejected_first"
    turns = tuple((turn.role, turn.content) for turn in prompt.messages)
    return Preference(prompt.text, chosen, rejected, row.rater, row.group, prompt.id, winner, turns, row.seconds, order)
