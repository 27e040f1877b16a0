"""A share of what? Where a baseline's mean is not above 0, "5 % of it" allows nothing, and nothing can be shown by it.

Short answers never repeat themselves, so that some measures are 0, or not defined, on nearly every prompt. A rule for a
whole side sets these aside, with a note; one that got clearly worse is not passed over, but cannot be told.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from evalkit.analysis.intervals import by_cluster, tails
from evalkit.gate.stats.noninferiority import has_no_spread, weigh
from evalkit.plumbing.arrays import Array
from evalkit.records import Margin

Share = Literal["of something", "of nothing", "of the undefined", "not known yet"]


def share_of(base: Array, clusters: tuple[str, ...], alpha: float) -> Share:
    """Whether a share of the mean of `base` (P prompts, NaN where undefined) is one of something.

    Of nothing where the mean is 0 or below, or where half of the prompts have nothing and the others do not show, at
    `alpha`, that it is above.
    """
    defined = base[~np.isnan(base)]
    if not len(defined):
        return "of the undefined"
    if defined.mean() > 0 and np.median(defined) > 0:
        return "of something"
    units = by_cluster(base[None, :], clusters)[0]
    units = units[~np.isnan(units)]
    is_clear = defined.mean() > 0 and np.ptp(units) > 0 and tails(units)[0] <= alpha
    return "of something" if is_clear else "of nothing"


def is_worse(new: Array, base: Array, alpha: float) -> bool:
    """Whether the mean fell (better upwards, one value a unit, without NaN), by a test or on every unit alike."""
    if not len(new) or not new.mean() < base.mean():
        return False
    return has_no_spread(new, base) or weigh(new, base, Margin("absolute", 0.0)).beyond <= alpha
