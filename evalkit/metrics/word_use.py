"""What summaries say of words: those that an arm says more or less than its baseline, and those on a user's list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WordShift:
    """A word or phrase that an arm uses clearly more, or clearly less, than its baseline."""

    phrase: str
    """In lower case, its words with one space between."""
    log_odds: float
    """Of the arm against the baseline, with the prior; above 0 where the arm says it more."""
    z: float
    """Over prompts: how surely it moved, not how far."""
    p: float
    q: float
    """p after Benjamini and Hochberg over all words and phrases that were tested for this arm."""
    per_thousand: float
    """Times it is said per 1 000 words, by as many words of both arms on every prompt ..."""
    baseline_per_thousand: float
    """... and the baseline's."""
    prompts: int
    """On how many prompts the arm says it at all ..."""
    baseline_prompts: int
    """... and the baseline."""
    parts: tuple[str, ...] = ()
    """Shorter words and phrases that moved only as parts of this one."""


@dataclass(frozen=True, slots=True)
class WordChange:
    """What one arm says more and less than its baseline."""

    arm: str
    baseline: str
    prompts: int
    """Prompts that both answered with any word."""
    words: int
    """Words and signs of the arm's completions that were counted ..."""
    baseline_words: int
    """... and of the baseline's."""
    tested: int
    """Words and phrases that were tested ..."""
    least_prompts: int
    """... for they occur on so many prompts; what occurs on fewer is left out."""
    clear: int
    """How many of them moved clearly, parts of longer ones included."""
    gained: tuple[WordShift, ...]
    """What is said more, the surest first; at most `SHOWN`."""
    lost: tuple[WordShift, ...]
    """What is said less, the surest first."""


@dataclass(frozen=True, slots=True)
class Level:
    """A mean over prompts with its interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Arm minus baseline, paired by prompt."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    q: float | None
    """p after Benjamini and Hochberg over the listed phrases of this arm."""


@dataclass(frozen=True, slots=True)
class PhraseUse:
    """What one arm makes of one phrase that the user listed."""

    phrase: str
    """As the user wrote it; empty for all of them together."""
    arm: str
    baseline: str | None
    times: int
    """How often it is said in all completions."""
    per_thousand: Level
    """Times per 1 000 words."""
    share: Level
    """Of completions that hold it, 0 to 1."""
    per_thousand_gap: Gap | None
    """None for a baseline."""
    share_gap: Gap | None


@dataclass(frozen=True, slots=True)
class WordUse:
    """All that a summary says of words."""

    signature: str
    completions: int
    """Completions of each prompt that were counted for each arm, at most."""
    changes: tuple[WordChange, ...]
    """One for each arm with a baseline."""
    phrases: tuple[PhraseUse, ...] = ()
    """Each listed phrase under each arm, and then all of them together; empty where none is listed."""
