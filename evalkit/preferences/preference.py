"""A preference: of two completions of a prompt, which one a rater chose, or that neither is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from evalkit.plumbing.typed_jsonl import Label, Text

Winner = Literal["chosen", "tie", "both_bad"]
FIELDS = ("prompt", "chosen", "rejected", "rater", "group", "prompt_id", "winner", "seconds", "order")
Order = Literal["chosen_first", "rejected_first"]
"""What a row of our own form may have."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One comparison: of two completions of a prompt, a rater chose one."""

    prompt: Text
    """As text: of several turns, the transcript."""
    chosen: str
    rejected: str
    rater: Label | None = None
    """Who compared, as in `scholars-3`; None where a file does not tell."""
    group: Label | None = None
    """The rater's group; None where a file does not tell."""
    prompt_id: Label | None = None
    winner: Winner = "chosen"
    """`tie` and `both_bad`: the rater held neither for better, and the order of the two says nothing."""
    turns: tuple[tuple[str, str], ...] = ()
    """(role, text) of the prompt, where it is more than one user turn."""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """From when the pair was shown to the answer; None where a file does not tell."""
    order: Order | None = None
    """Which completion was shown first; None where a file does not tell."""

    @property
    def target(self) -> float:
        """Probability with which `chosen` is preferred, as the rater said it: 1, or 1/2 of a tie."""
        return 1.0 if self.winner == "chosen" else 0.5
