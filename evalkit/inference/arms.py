"""The arms of a suite: each checkpoint at each temperature, and the arm that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evalkit.records import Arm, Sampling, Thinking
from evalkit.suite.schema import Suite


def plan_arms(suite: Suite) -> list[Arm]:
    """Every checkpoint at each temperature; each arm is compared with the baseline's arm of the same temperature."""
    settings = {name: suite.settings(name) for name in suite.checkpoints}
    baseline_checkpoint = suite.baseline_checkpoint
    baselines = {
        sampling.temperature: _arm_name(baseline_checkpoint, sampling, settings[baseline_checkpoint])
        for sampling in settings[baseline_checkpoint]
    }
    first = next(iter(baselines.values()))
    arms = []
    for checkpoint, samplings in settings.items():
        for sampling in samplings:
            name = _arm_name(checkpoint, sampling, samplings)
            baseline = first if checkpoint == baseline_checkpoint else baselines.get(sampling.temperature, first)
            spec = suite.checkpoints[checkpoint]
            best_of = spec.best_of.n if spec.best_of is not None else 1
            beside = None if name == baseline else baseline
            marks = None if spec.thinking is None else Thinking(spec.thinking.start or "", spec.thinking.end)
            system = spec.system or ""
            asking = None if spec.ask is None else spec.ask.asking
            arm = Arm(name, checkpoint, spec.kind, sampling, beside, best_of, system=system, thinking=marks)
            arms.append(replace(arm, asking=asking))
    return arms


def sampling_of(arm: Arm) -> Sampling:
    """The settings of a planned arm; only arms of texts made elsewhere have none."""
    assert arm.sampling is not None
    return arm.sampling


def draws_of(arm: Arm) -> int:
    """Completions of each of a checkpoint's rendered prompts that a planned arm takes."""
    n = sampling_of(arm).n
    return n * arm.best_of if arm.asking is None else arm.asking.draws(n * arm.best_of)


def _arm_name(checkpoint: str, sampling: Sampling, siblings: Sequence[Sampling]) -> str:
    return checkpoint if len(siblings) == 1 else f"{checkpoint}@T={sampling.temperature:g}"
