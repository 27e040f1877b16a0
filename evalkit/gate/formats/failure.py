"""Why the gate gave no verdict. It is told wherever a verdict would have been: yesterday's must not stand there."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.gate.formats.words import one_line

VERDICT = "error"
"""What stands where a verdict's outcome would."""
TITLE = "The gate could not judge"


@dataclass(frozen=True, slots=True)
class Failure:
    """What the gate was asked in vain."""

    reasons: tuple[str, ...]
    """The lines of the error."""
    exit_code: int
    suite: str
    """Empty where nothing that was given tells it."""


def headline(failure: Failure) -> str:
    """One sentence on the whole."""
    return f"{TITLE} (exit code {failure.exit_code}): nothing was compared, so this is neither a pass nor a regression."


def reasons(failure: Failure) -> list[str]:
    """Each on one line, and no command to a CI runner."""
    return [one_line(reason) for reason in failure.reasons if reason.strip()]
