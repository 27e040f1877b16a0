"""Best-of-n: of every n completions the one that a reward model likes best; what tuning could do, without training.

Its KL from the checkpoint is at most log n - (n - 1) / n nats (Beirami et al. 2024).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from evalkit.measure import parse
from evalkit.measuring import score_completions
from evalkit.plan import Plan
from evalkit.progress import Listener
from evalkit.records import Group
from evalkit.stats import Array


def keep_best(plan: Plan, groups: dict[str, list[Group]], tell: Listener) -> dict[str, list[Group]]:
    """All arms' groups, with those of best-of-n arms cut down to the chosen completions.

    Raises `CheckpointError`, `MetricError`, `EngineError` (from the reward model).
    """
    kept = {}
    for arm in plan.arms:
        asked = plan.suite.checkpoints[arm.checkpoint].best_of
        kept[arm.name] = groups[arm.name]
        if asked is not None:
            tell.stage(f"choose the best of {asked.n} for {arm.name}", 1)
            rewards = score_completions(parse({"reward": {"model": asked.reward}}), groups[arm.name], tell)
            kept[arm.name] = [choose(group, asked.n, row) for group, row in zip(groups[arm.name], rewards, strict=True)]
            tell.advance(1)
    return kept


def choose(group: Group, n: int, rewards: Array) -> Group:
    """The best of every `n` consecutive completions by `rewards`, [k]; an unreadable one (NaN) is never the best.

    Of equal ones the first is taken. Slots are numbered anew.
    """
    rows = np.where(np.isnan(rewards), -np.inf, rewards).reshape(-1, n)
    places: Sequence[int] = (rows.argmax(axis=1) + np.arange(len(rows)) * n).tolist()
    chosen = [dataclasses.replace(group.completions[place], slot=slot) for slot, place in enumerate(places)]
    return dataclasses.replace(group, completions=tuple(chosen))
