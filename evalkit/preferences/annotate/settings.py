"""What the owner of a labelling task decides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from evalkit.errors import InputError
from evalkit.plumbing.prose import short, showable
from evalkit.preferences.annotation import Choice

LONGEST_NAME = 60
"""Characters of a rater's name, or a group's."""
NAME = r"^[^\x00-\x1f\x7f]+$"
"""No control characters: a name is a line in tables and pages."""
LEASE = 600
"""Seconds without a sign of a rater's page after which the pair that they had may go to another rater."""


def checked_name(option: str, name: str) -> str:
    """The name without white space around it. Raises `InputError` on what no file or page could hold as a name."""
    stripped = name.strip()
    if not 0 < len(stripped) <= LONGEST_NAME:
        raise InputError(f"{option} {short(name)!r}: a name has 1 to {LONGEST_NAME} characters")
    if not re.match(NAME, stripped) or showable(stripped) != stripped:
        raise InputError(f"{option} {short(stripped)!r}: a name has no control characters and is valid UTF-8")
    return stripped


@dataclass(frozen=True)
class TaskSettings:
    """How people are asked, and what is held of their answers."""

    group: str
    """Of all raters who answer here."""
    allows_tie: bool = True
    allows_both_bad: bool = True
    asks_strength: bool = False
    asks_reason: bool = False
    instructions: str = ""
    """HTML, safe."""
    overlap: int = 1
    """How many raters each pair goes to."""
    repeats: float = 0.0
    """Share of a rater's pairs that come again later with the sides swapped."""
    gold_every: int = 10
    """In each so many pairs of a rater is one check of attention, as long as there are some that they have not seen."""
    is_gold_silent: bool = False
    """Whether a rater is not told that they missed one."""
    fastest: float = 0.0
    """Seconds below which a choice counts as a failed check; 0 for none."""
    warn_at: int = 2
    """Failed checks from which on a rater is warned."""
    stop_at: int = 5
    """Failed checks at which a rater's answers stop to count."""
    lease: float = LEASE
    seed: int = 0

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What a rater may say."""
        ties: tuple[tuple[Choice, bool], ...] = (("tie", self.allows_tie), ("both_bad", self.allows_both_bad))
        return ("a", "b", *(choice for choice, allowed in ties if allowed), "skip")

    def shown(self) -> dict[str, Any]:
        """What the page needs to know."""
        return {
            "group": self.group,
            "choices": [{"a": "first", "b": "second"}.get(choice, choice) for choice in self.choices],
            "strength": self.asks_strength,
            "reason": self.asks_reason,
            "instructions": self.instructions,
        }
