"""Sweeps: the arms of one checkpoint at several temperatures, each with the arm that it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.metrics.summary import Summary
from evalkit.records import Arm


@dataclass(frozen=True, slots=True)
class Step:
    """One temperature of a sweep."""

    arm: str
    baseline: str
    """Name of the arm that it is compared with."""
    temperature: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """A checkpoint at two temperatures or more."""

    checkpoint: str
    baseline: str
    """The checkpoint that it is compared with; may be its own, whose first temperature it then starts from."""
    steps: tuple[Step, ...]
    """From the lowest temperature to the highest."""
    is_like_with_like: bool
    """Whether every arm is compared with one that was drawn at the same temperature."""

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(step.arm for step in self.steps)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the arms that it is compared with, each once."""
        return tuple(dict.fromkeys(step.baseline for step in self.steps))


def sweeps(summary: Summary) -> list[Sweep]:
    """Every sweep that is compared with something, in the order of the summary's arms."""
    by_name = {arm.name: arm for arm in summary.arms}
    by_pair: dict[tuple[str, str], list[Step]] = {}
    for arm in summary.arms:
        if arm.sampling is not None and arm.baseline in by_name:
            pair = arm.checkpoint, by_name[arm.baseline].checkpoint
            by_pair.setdefault(pair, []).append(Step(arm.name, arm.baseline, arm.sampling.temperature))
    return [
        _sweep(checkpoint, baseline, steps, by_name)
        for (checkpoint, baseline), steps in by_pair.items()
        if len({step.temperature for step in steps}) == len(steps) > 1
    ]


def _sweep(checkpoint: str, baseline: str, steps: list[Step], by_name: dict[str, Arm]) -> Sweep:
    ordered = sorted(steps, key=lambda step: step.temperature)
    alike = all(_temperature(by_name[step.baseline]) == step.temperature for step in ordered)
    return Sweep(checkpoint, baseline, tuple(ordered), alike)


def _temperature(arm: Arm) -> float | None:
    return arm.sampling.temperature if arm.sampling else None
