"""Best-of-n: of every n completions the one that a reward model likes best; what tuning could do, without training.

Its KL from the checkpoint is at most log n - (n - 1) / n nats (Beirami et al. 2024).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.analysis.completion_scores import score_completions
from evalkit.metrics.registry import parse
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import each
from evalkit.plumbing.models import one_sitting
from evalkit.plumbing.progress import Listener
from evalkit.records import Arm, Group, Groups


def keep_best(
    arms: Sequence[Arm], rewards: Mapping[str, str], groups: Groups, tell: Listener
) -> dict[str, Sequence[Group]]:
    """All arms' groups, with those of best-of-n arms cut down to the chosen completions.

    `rewards`: checkpoint -> the reward model that chooses, of those whose arms are best-of-n.
    Raises `CheckpointError`, `MetricError`, `EngineError` (from the reward model).
    """
    kept: dict[str, Sequence[Group]] = {}
    with one_sitting():
        for arm in arms:
            kept[arm.name] = groups[arm.name]
            if arm.checkpoint in rewards:
                tell.stage(f"choose the best of {arm.best_of} for {arm.name}", len(groups[arm.name]))
                by_reward = parse({"reward": {"model": rewards[arm.checkpoint]}})
                scores = score_completions(by_reward, groups[arm.name], tell)
                kept[arm.name] = each(groups[arm.name], Chosen(arm.best_of, scores))
    return kept


@dataclasses.dataclass(frozen=True)
class Chosen:
    """`choose` for every group."""

    n: int
    rewards: Sequence[Array]
    """One (k,) array a prompt."""

    def __call__(self, index: int, group: Group) -> Group:
        return choose(group, self.n, self.rewards[index])


def choose(group: Group, n: int, rewards: Array) -> Group:
    """The best of every `n` consecutive completions by `rewards`, (k,); an unreadable one (NaN) is never the best.

    Of equal ones the first is taken. Sample indices are numbered anew.
    """
    rows = np.where(np.isnan(rewards), -np.inf, rewards).reshape(-1, n)
    best: Sequence[int] = (rows.argmax(axis=1) + np.arange(len(rows)) * n).tolist()
    chosen = [dataclasses.replace(group.completions[sample], sample_index=index) for index, sample in enumerate(best)]
    return dataclasses.replace(group, completions=tuple(chosen))
