"""Across prompts: a metric on one completion of every prompt; tuning costs less there (Kirk et al. 2023).

Slot j of every prompt makes one group; the estimate is the mean over slots. Prompts must not be bootstrapped under
such a figure, because a prompt drawn twice is a duplicate that the metric would count as sameness. Instead every prompt
gets its influence by the delete-one jackknife (Tukey 1958), and these influence values, which average to the estimate
exactly, take the way that every metric's values take: intervals, paired differences, corrections.

The jackknife errs on the wide side (Efron & Stein 1981): on 30 prompts of simulated topics its intervals were 1.1 to
1.3 times as wide as they had to be, and 1.4 to 1.8 times where prompts exhaust a small vocabulary that they share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.measure import Measure
from evalkit.records import Group, Prompt
from evalkit.stats import Array

EVALUATIONS = 256
"""Leave-one-out groups that are measured an arm and metric: what bounds the cost."""
EVERY = Prompt("every prompt", "every prompt")
"""What a pooled group is asked: metrics that have this variant never look at the prompt."""


def pooled_values(measure: Measure, groups: Mapping[str, Sequence[Group]]) -> dict[str, Array]:
    """Arm -> one influence value a prompt: theta + (P - 1) (mean of theta without one - theta without this one).

    theta is the metric's mean over `slots_of(groups)` pooled groups of P completions. The values' mean is theta
    exactly; their spread over sqrt(P) is the jackknife standard error. NaN on prompts that some arm has no completion
    of: P is the same in every arm. Costs P + 1 evaluations a slot.
    """
    members = list(zip(*groups.values(), strict=True))
    asked = [place for place, found in enumerate(members) if all(group.completions for group in found)]
    slots = slots_of(groups)
    values = {arm: np.full(len(members), np.nan) for arm in groups}
    for arm, own in groups.items():
        if slots and measure.fits(len(asked) - 1):
            values[arm][asked] = influence_values(measure, [_pool([own[i] for i in asked], s) for s in range(slots)])
    return values


def slots_of(groups: Mapping[str, Sequence[Group]]) -> int:
    """How many slots are pooled: all that every prompt has, or as many as `EVALUATIONS` pays for."""
    sizes = [len(group.completions) for own in groups.values() for group in own if group.completions]
    prompts = max((len(own) for own in groups.values()), default=0)
    return min(*sizes, max(1, EVALUATIONS // max(1, prompts))) if sizes else 0


def influence_values(measure: Measure, pools: Sequence[Group]) -> Array:
    """The influence of every place of the pools, (P,): of all texts at that place together."""
    size = len(pools[0].completions)
    others = [[place for place in range(size) if place != left_out] for left_out in range(size)]
    theta = float(np.mean([measure(pool) for pool in pools]))
    without = np.array([[measure(pool.only(kept)) for kept in others] for pool in pools], dtype=np.float64).mean(axis=0)
    return np.asarray(theta + (size - 1) * (without.mean() - without), dtype=np.float64)


def _pool(groups: Sequence[Group], slot: int) -> Group:
    """One completion of every prompt, with its words and embedding."""
    completions = tuple(group.completions[slot] for group in groups)
    pool = Group(EVERY, (), tokenizer=groups[0].tokenizer).of(completions, tuple(group.words[slot] for group in groups))
    rows = [group.embeddings[slot] for group in groups if group.embeddings is not None]
    return pool.embedded(np.stack(rows)) if len(rows) == len(groups) and rows else pool
