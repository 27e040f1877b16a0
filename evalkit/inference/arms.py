"""The arms of a suite: each checkpoint with each setting, and the arm that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evalkit.records import Arm, Sampling, Thinking
from evalkit.suite.schema import Suite
from evalkit.suite.sweeps import SWEPT

UNCUT = {"top_p": 1.0, "min_p": 0.0}
"""Settings at which nothing is cut off, which names of arms leave out."""
SHORT = {"temperature": "T"}


def plan_arms(suite: Suite) -> list[Arm]:
    """Every checkpoint with each setting; each arm is compared with the baseline's arm of the same setting.

    Where the baseline has none, with its arm of the same temperature, else with its first.
    """
    settings = {name: suite.settings(name) for name in suite.checkpoints}
    baseline_checkpoint = suite.baseline_checkpoint
    of_baseline = settings[baseline_checkpoint]
    first = _arm_name(baseline_checkpoint, of_baseline[0], of_baseline)
    arms = []
    for checkpoint, samplings in settings.items():
        for sampling in samplings:
            name = _arm_name(checkpoint, sampling, samplings)
            beside_it = _alike(sampling, of_baseline)
            baseline = (
                first if checkpoint == baseline_checkpoint else _arm_name(baseline_checkpoint, beside_it, of_baseline)
            )
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


def _alike(sampling: Sampling, others: Sequence[Sampling]) -> Sampling:
    """The one that draws most alike: with the same settings, or at the same temperature, or the first."""
    same = [other for other in others if other.distribution == sampling.distribution]
    as_hot = [other for other in others if other.temperature == sampling.temperature]
    return [*same, *as_hot, *others][0]


def _arm_name(checkpoint: str, sampling: Sampling, siblings: Sequence[Sampling]) -> str:
    """The checkpoint, and of its settings those that differ among its arms: `tuned@T=1.3,min_p=0.1`."""
    if len(siblings) == 1:
        return checkpoint
    vary = [name for name in SWEPT if len({getattr(each, name) for each in siblings}) > 1]
    cuts = [name for name in vary if name != "temperature" and getattr(sampling, name) != UNCUT[name]]
    shown = [name for name in vary if name == "temperature" or name in cuts] or vary
    return f"{checkpoint}@{','.join(f'{SHORT.get(name, name)}={getattr(sampling, name):g}' for name in shown)}"
