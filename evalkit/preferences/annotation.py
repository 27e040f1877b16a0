"""An annotation: what one rater said of one pair of completions, and how the pair came before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from evalkit.plumbing.array_cache import key_of
from evalkit.preferences.pairs import Pair

Choice = Literal["a", "b", "tie", "both_bad", "skip"]
"""What a rater may say; `skip` says nothing of the two."""
Side = Literal["a", "b"]
SWAPPED: dict[Choice, Choice] = {"a": "b", "b": "a", "tie": "tie", "both_bad": "both_bad", "skip": "skip"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A pair as raters are asked about it."""

    pair: Pair
    arms: tuple[str, str] | None = None
    """Of a run: whose completions `a` and `b` are."""
    sample_indices: tuple[int, int] | None = None
    """Of a run: which draws of these arms."""
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Chance with which this pair was drawn among all that could have been drawn at that moment."""
    gold: Choice | None = None
    """What whoever reads with care says, where the owner stated it: a check of attention, no vote."""

    @property
    def id(self) -> str:
        """Hash of what a rater sees: prompt and completions, in this order.

        Not of the prompt's answer and checks, which files of annotations do not hold: a vote read from one is on the
        same pair as one read from a store.
        """
        prompt = self.pair.prompt
        turns = [(turn.role, turn.content) for turn in prompt.turns]
        return key_of({"prompt_id": prompt.id, "turns": turns, "a": self.pair.a, "b": self.pair.b})


@dataclass(frozen=True, slots=True)
class Annotation:
    """One answer of one rater."""

    comparison: Comparison
    rater: str
    group: str
    choice: Choice
    first: Side
    """Which of the two was shown on the left, on a narrow page above."""
    seconds: float
    """From when the pair was shown to the answer, without the time in which the page was hidden."""
    at: str
    """When it was given: ISO 8601, UTC."""
    strength: Literal[1, 2, 3] | None = None
    """How much better: slightly, clearly, far; None where not asked or not said."""
    reason: str = ""
    is_repeat: bool = False
    """Whether the same rater had been asked about the same pair before, then with the sides swapped."""
    is_excluded: bool = False
    """Whether it was given by a rater who had failed too many checks; kept, and counted nowhere."""

    @property
    def target(self) -> float | None:
        """How much it speaks for `a`: 1, 0, or 1/2 of both kinds of tie; None of a skipped pair."""
        return {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5, "skip": None}[self.choice]


def votes(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Those that count: of raters not excluded, neither skipped, nor a check of attention, nor a repeat."""
    return [
        annotation
        for annotation in annotations
        if annotation.target is not None
        and annotation.comparison.gold is None
        and not annotation.is_repeat
        and not annotation.is_excluded
    ]
