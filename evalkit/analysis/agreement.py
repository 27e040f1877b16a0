"""Do scores of quality agree? A proxy that rises while others fall has been optimised beyond what it stands for.

Each score is somebody's judgement: a reward model of one group of raters, one of another, a test of truth. Where they
agree, one of them may stand for all; where tuning raises one and lowers another, somebody pays (Gao et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats as scipy_stats

from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.registry import Measure, label
from evalkit.metrics.summary import Alarm, Difference, Summary
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE, Better

ALPHA = 0.05
"""A rise or a fall is one whose Holm-adjusted p is below this."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two scores order one arm's completions."""

    arm: str
    first: str
    second: str
    value: float
    """Mean over prompts of Spearman's correlation over the prompt's completions; in [-1, 1]."""
    low: float
    high: float
    prompts: int
    """Prompts on which both scores vary."""


def agreements(scores: Mapping[str, Mapping[str, Sequence[Array]]], clusters: Sequence[str] = ()) -> list[Agreement]:
    """Every pair of scores on every arm; `scores`: score -> arm -> one array of k values a prompt;
    `clusters`: that of each prompt, where prompts belong together.

    Correlations are taken within prompts, so that a prompt that all scores find easy does not count as agreement.
    Completions that one of the two could not judge are left out; NaN where no prompt has three others.
    """
    rows = []
    for first, second in combinations(scores, 2):
        for arm, arrays in scores[first].items():
            values = [_spearman(a, b) for a, b in zip(arrays, scores[second][arm], strict=True)]
            [mean] = mean_intervals(np.array([values], dtype=np.float64), CONFIDENCE, clusters)
            rows.append(Agreement(arm, first, second, mean.value, mean.low, mean.high, mean.count))
    return rows


def scores_of_quality(measures: Iterable[Measure]) -> dict[str, Better]:
    """Score -> its better direction, of the scores that say how good a completion is and have one."""
    return {
        str(measure): measure.definition.better
        for measure in measures
        if measure.definition.is_quality and measure.definition.better != "neither"
    }


def over_optimisation(summary: Summary, scores: Mapping[str, Better]) -> list[Alarm]:
    """An alarm for each arm in which one of `scores` is clearly better than at the baseline and another clearly worse.

    `scores`: score -> its better direction, as `scores_of_quality` gives them.
    """
    alarms = []
    for arm in summary.arms:
        clear = [d for d in summary.differences if d.arm == arm.name and d.metric in scores and _is_clear(d)]
        gained = [_moved(d) for d in clear if _gain(d, scores[d.metric]) > 0]
        lost = [_moved(d) for d in clear if _gain(d, scores[d.metric]) < 0]
        if gained and lost:
            message = (
                f"against {arm.baseline}, {' and '.join(gained)} clearly got better while {' and '.join(lost)} "
                "clearly got worse: who is asked decides whether it is better"
            )
            alarms.append(Alarm(arm.name, "over-optimisation", message))
    return alarms


def _gain(difference: Difference, better: Better) -> float:
    """The difference, better upwards; 0 where it is not known."""
    value = difference.value or 0.0
    return value if better == "higher" else -value


def _moved(difference: Difference) -> str:
    """`reward (+1.2)`: the number as it is, whichever direction is better."""
    return f"{label(difference.metric)} ({difference.value:+.2g})".replace("(-", "(−")


def _spearman(first: Array, second: Array) -> float:
    both = ~(np.isnan(first) | np.isnan(second))
    a, b = first[both], second[both]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(scipy_stats.spearmanr(a, b).statistic)


def _is_clear(difference: Difference) -> bool:
    return difference.p_adjusted is not None and difference.p_adjusted < ALPHA
