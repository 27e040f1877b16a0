"""Preference: how often the arm's answer beats the baseline's, by the suite's quality."""

from __future__ import annotations

import numpy as np

from evalkit.metrics.declaration import metric
from evalkit.records import Group


@metric(
    name="win_rate",
    unit="share",
    better="higher",
    side="quality",
    family="reward",
    plain="answers better than the baseline's",
    bounds=(0, 1),
    needs={"quality", "baseline_group"},
    version="1.0",
    cites="Mann & Whitney 1947",
)
def win_rate(group: Group) -> float:
    """Chance that a completion has a higher quality than one of the baseline's to the same prompt; ties count half.

    Range: [0, 1]; 0.5 for the baseline itself, by definition.

    Bias: none at any k: all pairs of the two sides are compared (the U statistic over their number), exactly, by
    sorting. It reads the order of qualities alone, so that another scale of the reward changes nothing.

    Cost: O(k log k).

    Undefined: where no completion of one side has a quality, or there is no baseline arm to compare with.
    """
    if group.baseline is None or group.quality is None or group.baseline.quality is None:
        return float("nan")
    quality = group.quality[~np.isnan(group.quality)]
    of_baseline = np.sort(group.baseline.quality[~np.isnan(group.baseline.quality)])
    if not (len(quality) and len(of_baseline)):
        return float("nan")
    below, not_above = (np.searchsorted(of_baseline, quality, side=side) for side in ("left", "right"))
    return float((below + not_above).sum()) / (2 * len(quality) * len(of_baseline))
