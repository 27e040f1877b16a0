"""Which setting gives back most of the diversity that tuning took, with care for the winner's curse.

Of many settings the one that looks best owes some of its lead to chance. So no interval here is of one setting alone:
shares and changes of quality have Bonferroni's intervals, which hold for all settings of the checkpoint at once and so
for the one that was picked, however it was picked. What cannot be told from the picked one is named beside it.

The share is a ratio of two means over the same prompts; its interval is that of its linearised values (delta method).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.decoding.held_against import Columns
from evalkit.analysis.intervals import Mean, mean_intervals
from evalkit.metrics.decoding import GivenBack, Ranged
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.records import CONFIDENCE


@dataclass(frozen=True)
class Found:
    """What there is to say of one measure of diversity."""

    lost: Ranged
    settings: tuple[GivenBack, ...]
    free: str | None
    as_good: tuple[str, ...]
    full: str | None


def recovered(of_arms: Columns, start: str) -> Found:
    """How much each arm gives back of what the `start` lacks beside the reference; `of_arms`: quality, diversity."""
    quality, diversity = of_arms.values
    place = of_arms.arms.index(start)
    lost = -diversity[place]
    [mean] = mean_intervals(lost[None, :], CONFIDENCE)
    others = [arm for arm in of_arms.arms if arm != start]
    if not others or not mean.low > 0:
        return Found(_ranged(mean), (), None, (), None)
    rows = [of_arms.arms.index(arm) for arm in others]
    back = diversity[rows] - diversity[place]
    settings = _settings(others, back, lost, quality[rows] - quality[place])
    free = _free(settings)
    as_good = () if free is None else _as_good(settings, free, back)
    return Found(_ranged(mean), tuple(settings), free, as_good, _full(settings))


def _settings(arms: Sequence[str], back: Array, lost: Array, quality: Array) -> list[GivenBack]:
    together = 1 - (1 - CONFIDENCE) / len(arms)
    shares = mean_intervals(_shares(back, lost), together)
    changes, alone = mean_intervals(quality, together), mean_intervals(quality, CONFIDENCE)
    return [
        GivenBack(arm, _ranged(share), _ranged(change), own.high < 0)
        for arm, share, change, own in zip(arms, shares, changes, alone, strict=True)
    ]


def _shares(back: Array, lost: Array) -> Array:
    """(A, C) whose means are the ratios of means, and whose spread is that of the ratios to first order."""
    mean = lost.mean()
    ratios = back.mean(axis=1, keepdims=True) / mean
    return np.asarray(ratios + (back - ratios * lost) / mean, dtype=np.float64)


def _free(settings: Sequence[GivenBack]) -> str | None:
    """The most that costs nothing clearly; of those that give back all, the one with the best quality."""
    able = [each for each in settings if not each.is_worse and _clearly_gives(each)]
    best = max(able, key=lambda each: (min(each.share.value or 0, 1.0), each.quality.value or 0), default=None)
    return best.arm if best else None


def _clearly_gives(each: GivenBack) -> bool:
    return each.share.low is not None and each.share.low > 0


def _as_good(settings: Sequence[GivenBack], free: str, back: Array) -> tuple[str, ...]:
    """Those of which it is not clear that they give back less."""
    place = next(index for index, each in enumerate(settings) if each.arm == free)
    together = 1 - (1 - CONFIDENCE) / max(1, len(settings) - 1)
    leads = mean_intervals(back[place] - back, together)
    pairs = zip(settings, leads, strict=True)
    return tuple(
        each.arm
        for each, lead in pairs
        if each.arm != free and not each.is_worse and _clearly_gives(each) and not lead.low > 0
    )


def _full(settings: Sequence[GivenBack]) -> str | None:
    whole = [each for each in settings if each.share.value is not None and each.share.value >= 1]
    best = max(whole, key=lambda each: each.quality.value or 0, default=None)
    return best.arm if best else None


def _ranged(mean: Mean) -> Ranged:
    return Ranged(*map(finite_or_none, (mean.value, mean.low, mean.high)))
