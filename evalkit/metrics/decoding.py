"""What decoding paths come to: where they meet the baseline, what that costs, and which setting gives back the most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Setting = Literal["temperature", "top_p", "min_p"]


@dataclass(frozen=True, slots=True)
class Ranged:
    """A number with its interval; None where it is not known."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class DecodingPath:
    """One checkpoint's arms that differ in one setting alone, from its lowest value to its highest."""

    checkpoint: str
    setting: Setting
    values: tuple[float, ...]
    arms: tuple[str, ...]
    """Their names, one a value."""
    held: Mapping[str, float]
    """The other settings, which all of them share."""


@dataclass(frozen=True, slots=True)
class Span:
    """Settings of a path at which it cannot be told from the baseline, None where they reach to its end."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a path, straight between the settings tried, has as much of a measure as the baseline's reference arm."""

    path: int
    """Which of `Decoding.paths`."""
    metric: str
    signature: str
    at: tuple[float, ...]
    """Settings at which the means are equal, rising; empty where they are at none."""
    spans: tuple[Span, ...]
    """All settings at which the difference's interval holds 0: with the stated confidence each true one is in them."""
    elsewhere: Literal["", "more", "less"]
    """Where it meets the baseline at none: whether it is better (or more diverse) all along, or worse."""
    prompts: int


@dataclass(frozen=True, slots=True)
class Trade:
    """What a path has of one measure where it has as much of another as the baseline's reference arm."""

    path: int
    metric: str
    at_equal: str
    """Quality where `metric` is a diversity, and the other way round."""
    signature: str
    setting: float | None
    """Where they are equal; of several places the one that offers most."""
    against_baseline: Ranged
    """The path there minus the reference arm, in the unit of `metric`."""
    against_start: Ranged
    """The path there minus the checkpoint's own starting arm: what going there costs."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """One setting of a checkpoint beside the one that it starts from."""

    arm: str
    share: Ranged
    """Of the diversity that was lost, 1 for all of it. The interval holds for all settings at once."""
    quality: Ranged
    """Change of quality from the start, above 0 for better or worse as the measure says; for all settings at once."""
    is_worse: bool
    """Whether quality is clearly lower: its own interval, of this setting alone, excludes 0."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How much of the diversity that a checkpoint lost against the baseline each of its settings gives back."""

    checkpoint: str
    start: str
    """The checkpoint's arm with the reference arm's settings."""
    reference: str
    """The baseline's arm."""
    metric: str
    signature: str
    lost: Ranged
    """Reference minus start, above 0 for more diverse, whatever the sign of the measure."""
    settings: tuple[GivenBack, ...]
    """Empty where nothing was clearly lost."""
    free: str | None
    """The arm that gives back most without clearly lower quality; None where none clearly gives back anything."""
    as_good: tuple[str, ...]
    """Arms without clearly lower quality of which it is not clear that they give back less."""
    full: str | None
    """Of the arms that give back all of it the one with the best quality."""
    prompts: int


@dataclass(frozen=True, slots=True)
class Decoding:
    """Checkpoints along their decoding paths, each against the baseline's reference arm."""

    confidence: float
    quality: str | None
    references: Mapping[str, str]
    """Checkpoint -> the arm it is held against: the baseline's at temperature 1 with nothing cut, else its first."""
    starts: Mapping[str, str]
    """Checkpoint -> its own arm with the same settings, else its first."""
    paths: tuple[DecodingPath, ...]
    """Those of the baseline too, which are drawn and not compared."""
    crossings: tuple[Crossing, ...]
    trades: tuple[Trade, ...]
    recoveries: tuple[Recovery, ...]
