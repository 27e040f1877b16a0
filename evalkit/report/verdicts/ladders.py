"""Ladders: checkpoints of one training under rising optimisation pressure, as a sweep over beta gives them.

They are known by names that differ only in a number: `ppo-1`, `ppo-0.5`, `ppo-0.1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.records import Arm

DISTANCE = "kl_reverse"
"""The measure of how far an arm's distribution has moved from the baseline's."""
_NUMBER = re.compile(r"^(.*?)[-_.=]?([0-9]+(?:\.[0-9]+)?)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Two arms or more, a checkpoint each, that share a baseline and how they were drawn."""

    baseline: str
    arms: tuple[str, ...]
    """Names of arms: from the nearest to the furthest from the baseline where that is known, else by their number."""
    by_distance: bool
    """Whether KL from the baseline gave the order, and no two arms are as far."""


def ladders(summary: Summary) -> list[Ladder]:
    """Every ladder, in the order of the summary's arms."""
    families: dict[tuple[object, ...], list[Arm]] = {}
    for arm in summary.arms:
        if arm.baseline is not None and _NUMBER.match(arm.checkpoint):
            families.setdefault((without_number(arm.checkpoint), arm.baseline, _drawn(arm)), []).append(arm)
    return [_ladder(family, summary) for family in families.values() if len({arm.checkpoint for arm in family}) > 1]


def without_number(name: str) -> str:
    """What names of a ladder's checkpoints share; a name that does not end in a number is its own."""
    match = _NUMBER.match(name)
    return match[1] if match else name


def _ladder(arms: list[Arm], summary: Summary) -> Ladder:
    estimates = effects.estimates(summary)
    away = {arm.name: estimates[DISTANCE, arm.name].value for arm in arms if (DISTANCE, arm.name) in estimates}
    known = {name: value for name, value in away.items() if is_number(value)}
    baseline = arms[0].baseline
    assert baseline is not None
    if len(set(known.values())) == len(arms):
        return Ladder(baseline, tuple(sorted(known, key=known.__getitem__)), by_distance=True)
    ordered = sorted(arms, key=_number)
    # Whether a large number is near or far only its author knows: he is taken to have named the nearer end first.
    named_downwards = _number(arms[0]) > _number(arms[-1])
    return Ladder(baseline, tuple(arm.name for arm in (reversed(ordered) if named_downwards else ordered)), False)


def _number(arm: Arm) -> float:
    match = _NUMBER.match(arm.checkpoint)
    return float(match[2]) if match else 0.0


def _drawn(arm: Arm) -> tuple[object, ...]:
    drawn = arm.sampling
    return (arm.best_of, *drawn.distribution) if drawn else (arm.best_of,)
