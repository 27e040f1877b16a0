"""What a difference means: which side of the trade it is on, whether it is real, and how large it is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.records import Better

Outcome = Literal["gained", "lost", "unclear", "changed"]
ALPHA = 0.05
LARGE, SMALL = 0.8, 0.2
"""Cohen's (1988) words for standardised differences."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference in units of the baseline's spread over prompts."""

    value: float
    low: float
    high: float


def is_plain(measure: str) -> bool:
    """Whether it is the plain form of a measure, which verdict, cards and charts are about."""
    return split_variant(measure)[0] == "whole"


def outcome(difference: Difference, better: Better) -> Outcome:
    """Gained or lost only where Holm's p says that chance is a poor explanation."""
    p, value = difference.p_adjusted, difference.value
    if not is_number(p) or p >= ALPHA or not is_number(value) or value == 0:
        return "unclear"
    if better == "neither":
        return "changed"
    return "gained" if (value > 0) == (better == "higher") else "lost"


def betters(summary: Summary) -> dict[str, Better]:
    """Measure -> its direction, in the summary's order."""
    return {estimate.metric: estimate.better for estimate in summary.estimates}


def traits(summary: Summary) -> dict[str, Traits]:
    """Measure -> what its declaration says of it, in the summary's order."""
    return {estimate.metric: estimate.traits for estimate in summary.estimates}


def estimates(summary: Summary) -> dict[tuple[str, str], Estimate]:
    """(measure, arm) -> estimate, of those that may stand beside each other: measured as the measure's first is."""
    signatures: dict[str, str] = {}
    return {
        (estimate.metric, estimate.arm): estimate
        for estimate in summary.estimates
        if signatures.setdefault(estimate.metric, estimate.signature) == estimate.signature
    }


def effect(difference: Difference, baseline: Estimate | None) -> Effect | None:
    """The difference over the standard deviation of the baseline's values across prompts (Glass's delta).

    The baseline's spread, not that of the paired differences: it is the same for every compared arm, so effects
    can be compared between arms as well as between metrics.
    """
    values = [value for value in baseline.values if is_number(value)] if baseline else []
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    numbers = difference.value, difference.low, difference.high
    value, low, high = numbers
    if spread <= 1e-12 or not (is_number(value) and is_number(low) and is_number(high)):
        return None
    return Effect(value / spread, low / spread, high / spread)


def towards_better(effect: Effect, better: Better) -> Effect:
    """The same effect turned so that positive is better; a measure without a direction stays as it is."""
    return Effect(-effect.value, -effect.high, -effect.low) if better == "lower" else effect
