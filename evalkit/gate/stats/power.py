"""How many prompts and completions a prompt find a loss; pure functions of what a pilot run says.

A paired difference varies between prompts, because a loss is not the same everywhere, and within a prompt, because
completions are drawn. The second part falls with k completions as 1/k, as for all smooth statistics; the first does
not.
So the variance of the number that the gate tests is

    between + within * n / k         n completions a prompt in the pilot

and the gate's t test, at its own level, has the power of a noncentral t with P - 1 degrees of freedom; its guard
against skewness costs little where differences are not skewed.
Completions of one prompt are split into halves to see how much the draws move a metric: halves are two draws of half
the size, without the duplicates that a bootstrap within a prompt would fake. A metric's level depends on k; its
relative loss is taken to be the same at every k near the pilot's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

from evalkit.gate.stats.noninferiority import MOST_PROMPTS, shifted
from evalkit.plumbing.arrays import Array
from evalkit.records import Margin

FARTHEST = 4
"""Times the pilot's n: a variance is not extrapolated farther."""
CAUTION = 0.8
"""A pilot tells variances roughly: in so many of all pilots the size that is named has the power it is named for.

The upper bound of the variance is planned with, not its estimate (Browne 1995)."""
FEWEST = 5
"""Prompts that are asked at least: the t test of fewer leans on normal values too much."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What a pilot says of one metric, better upwards, as variances of the number that is tested on a prompt."""

    level: float
    """The baseline's mean, its sign as turned."""
    between: float
    within: float
    """At the pilot's n."""
    samples: int
    """The pilot's n."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens of one arm: the baseline's are drawn already."""

    prompt: float
    """Read once a prompt."""
    completion: float
    """Written once a completion."""

    def of(self, prompts: int, samples: int) -> int:
        return round(prompts * (self.prompt + samples * self.completion))


@dataclass(frozen=True, slots=True)
class Split:
    """So many prompts of so many completions each."""

    prompts: int
    samples: int
    tokens: int


def spread_of(new: Array, base: Array, halves: tuple[Array, Array], margin: Margin, samples: int, same: bool) -> Spread:
    """What varies, and how much of it in the draws.

    `new`, `base`: (P,) values on all `samples` completions, better upwards. `halves`: of each side (splits, 2, P),
    values on the two halves of each split. `same`: both sides are one arm, which stands for two releases that hardly
    differ: its draws then move each side on its own, and prompts differ by what is allowed alone.
    """
    within_new, within_base = (_within(side) for side in halves)
    size = 1 - margin.size if margin.unit == "relative" else 1.0
    within = within_new + size**2 * within_base
    # One arm against itself shares its draws, and what is left of them is a share of one side's.
    in_pilot = (1 - size) ** 2 * within_new if same else within
    total = float(np.var(shifted(new, base, margin), ddof=1)) * caution(len(new))
    return Spread(float(base.mean()), max(0.0, total - in_pilot), within, samples)


def caution(prompts: int) -> float:
    """Times a pilot's variance between prompts, it is at least the true one in CAUTION of pilots (normal values)."""
    return (prompts - 1) / float(scipy_stats.chi2.ppf(1 - CAUTION, prompts - 1))


def power_of(spread: Spread, prompts: int, samples: int, beyond: float, alpha: float) -> float:
    """The chance that a loss of `beyond` more than is allowed is called a regression at level `alpha`.

    `beyond` is in the unit of the number tested (for a share: times the level), above 0.
    """
    deviation = math.sqrt(spread.between + spread.within * spread.samples / samples)
    if deviation == 0:
        return 1.0
    cut = float(scipy_stats.t.ppf(alpha, prompts - 1))
    return float(scipy_stats.nct.cdf(cut, prompts - 1, -beyond / deviation * math.sqrt(prompts)))


def prompts_for(spread: Spread, samples: int, beyond: float, alpha: float, power: float) -> int | None:
    """The fewest prompts that find it with this power; None above MOST_PROMPTS."""
    enough = FEWEST
    while power_of(spread, enough, samples, beyond, alpha) < power:
        enough *= 2
        if enough > MOST_PROMPTS:
            return None
    low = FEWEST if enough == FEWEST else enough // 2
    while low < enough:
        middle = (low + enough) // 2
        if power_of(spread, middle, samples, beyond, alpha) < power:
            low = middle + 1
        else:
            enough = middle
    return enough


def splits_for(
    spread: Spread, beyond: float, alpha: float, power: float, cost: Cost, members: float = 1
) -> list[Split]:
    """All splits that find the loss, one for each number of completions, the cheapest first.

    `members`: prompts a unit of resampling; more than 1 where `spread` is that of clusters.
    """
    ks = sample_sizes(spread.samples)
    enough = [(prompts_for(spread, k, beyond, alpha, power), k) for k in ks]
    sizes = [(math.ceil(clusters * members), k) for clusters, k in enough if clusters is not None]
    splits = [Split(prompts, k, cost.of(prompts, k)) for prompts, k in sizes]
    return sorted(splits, key=lambda split: split.tokens)


def sample_sizes(samples: int) -> list[int]:
    """Powers of two from a quarter of the pilot's n, at least 4, to FARTHEST times it, and n itself."""
    low, high = max(4, samples / FARTHEST), samples * FARTHEST
    return sorted({samples, *(2**i for i in range(2, 24) if low <= 2**i <= high)})


def cheapest(splits: Sequence[Split], prompts: int) -> Split | None:
    """The cheapest that so many prompts are enough for; without one, the one that needs the fewest prompts."""
    fitting = [split for split in splits if split.prompts <= prompts]
    if fitting:
        return min(fitting, key=lambda split: split.tokens)
    return min(splits, key=lambda split: (split.prompts, split.tokens), default=None)


def common_splits(by_metric: Sequence[Sequence[Split]]) -> list[Split]:
    """For each number of completions that all metrics have a split of, the one with the most prompts."""
    shared = set.intersection(*({split.samples for split in splits} for splits in by_metric))
    of_size = [[split for splits in by_metric for split in splits if split.samples == k] for k in sorted(shared)]
    return [max(splits, key=lambda split: split.prompts) for splits in of_size]


def _within(halves: Array) -> float:
    """Variance in the draws of a value on all completions: that of halves is twice as large."""
    of_half = np.mean((halves[:, 0] - halves[:, 1]) ** 2) / 2
    return float(of_half / 2)
