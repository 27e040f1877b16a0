"""Sweeps: the arms of one checkpoint with several decoding settings, each with the arm that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.metrics.summary import Summary
from evalkit.records import Arm, Sampling

SETTINGS = {"temperature": "T", "top_p": "top_p", "min_p": "min_p"}
"""What may differ among the arms of a sweep, as sentences say it."""
UNCUT = {"top_p": 1.0, "min_p": 0.0}


@dataclass(frozen=True, slots=True)
class Step:
    """One setting of a sweep."""

    arm: str
    baseline: str
    """Name of the arm that it is compared with."""
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Sweep:
    """A checkpoint with two settings or more."""

    checkpoint: str
    baseline: str
    """The checkpoint that it is compared with; may be its own, whose first setting it then starts from."""
    steps: tuple[Step, ...]
    """From the lowest temperature to the highest, and at one temperature from the one that cuts most."""
    is_like_with_like: bool
    """Whether every arm is compared with one that was drawn with the same setting."""

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(step.arm for step in self.steps)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the arms that it is compared with, each once."""
        return tuple(dict.fromkeys(step.baseline for step in self.steps))

    @property
    def varied(self) -> tuple[str, ...]:
        """Which settings differ among its arms."""
        return tuple(name for name in SETTINGS if len({getattr(step.sampling, name) for step in self.steps}) > 1)

    @property
    def noun(self) -> str:
        """What one step is called."""
        return self.varied[0] if len(self.varied) == 1 else "setting"

    @property
    def sign(self) -> str:
        """What stands once before labels: `T = `, or nothing where each label says it."""
        return f"{SETTINGS[self.noun]} = " if self.noun in SETTINGS else ""

    def label(self, step: Step) -> str:
        """`0.7`; where several settings differ, `T = 1.3 with min_p = 0.1`, what cuts nothing left out."""
        if self.sign:
            return f"{getattr(step.sampling, self.noun):g}"
        told = [name for name in self.varied if getattr(step.sampling, name) != UNCUT.get(name)] or self.varied
        return " with ".join(f"{SETTINGS[name]} = {getattr(step.sampling, name):g}" for name in told)


def sweeps(summary: Summary) -> list[Sweep]:
    """Every sweep that is compared with something, in the order of the summary's arms."""
    by_name = {arm.name: arm for arm in summary.arms}
    by_pair: dict[tuple[str, str], list[Step]] = {}
    for arm in summary.arms:
        if arm.sampling is not None and arm.baseline in by_name:
            pair = arm.checkpoint, by_name[arm.baseline].checkpoint
            by_pair.setdefault(pair, []).append(Step(arm.name, arm.baseline, arm.sampling))
    return [
        _sweep(checkpoint, baseline, steps, by_name)
        for (checkpoint, baseline), steps in by_pair.items()
        if len({_setting(step.sampling) for step in steps}) == len(steps) > 1
    ]


def _sweep(checkpoint: str, baseline: str, steps: Sequence[Step], by_name: dict[str, Arm]) -> Sweep:
    ordered = sorted(steps, key=lambda step: _heat(step.sampling))
    beside = [by_name[step.baseline].sampling for step in ordered]
    pairs = zip(ordered, beside, strict=True)
    alike = all(other is not None and _setting(other) == _setting(step.sampling) for step, other in pairs)
    return Sweep(checkpoint, baseline, tuple(ordered), alike)


def _setting(sampling: Sampling) -> tuple[float, ...]:
    return tuple(getattr(sampling, name) for name in SETTINGS)


def _heat(sampling: Sampling) -> tuple[float, ...]:
    return sampling.temperature, sampling.top_p, -sampling.min_p
