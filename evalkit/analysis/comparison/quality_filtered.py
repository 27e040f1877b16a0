"""Equal quality: diversity among the completions that are good enough, at equal numbers of them.

Noise is diverse. How many completions pass the bar differs between arms and prompts, and most metrics move with the
number of texts, so the quality-filtered diversity of a prompt is the metric's expected value on m passing completions,
with m the number that the arm with the fewest has. Some find that tuning raises diversity among good texts (arXiv
2504.12522), others a fall all the way; the report shows plain and quality-filtered diversity side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.completion_scores import Scores
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Bar
from evalkit.plumbing.arrays import Array
from evalkit.records import Group, Groups

SUBSETS = 8
"""Subsets of m that the expected value is averaged over: they cut the noise of one subset to about a third."""


def set_bar(measure: str, scores: Scores, baseline: str, stated: float | None) -> Bar:
    """The bar that a completion must reach: the one that is `stated`, else the median of the arm `baseline`.

    Where that median is also the lowest value that there is (right or wrong, say), every completion would pass; then
    the bar is the next value above it.
    """
    at_least, source = _bar_of(scores[baseline], baseline) if stated is None else (stated, "the suite")
    return Bar(measure, at_least, source, {arm: _share(arrays, at_least) for arm, arrays in scores.items()})


def quality_filtered_values(
    measures: Sequence[Measure], groups: Groups, scores: Scores, bar: float
) -> list[dict[str, Array]]:
    """For each metric, arm -> (P,) its expected value on m of the completions that pass.

    Averaged over `SUBSETS` seeded subsets without replacement, which between them use every passing completion about
    equally often; a metric whose expected value does not depend on k (`any_k`) takes all that pass. NaN on prompts
    where some arm has fewer than two, or fewer than a `k` of the measure: a prompt counts for every arm or for none.
    """
    rows = [
        filtered_values(
            measures,
            dict(zip(groups, members, strict=True)),
            {arm: of_arm[prompt] for arm, of_arm in scores.items()},
            bar,
            prompt,
        )
        for prompt, members in enumerate(zip(*groups.values(), strict=True))
    ]
    return [
        {arm: np.array([row[measure][arm] for row in rows], dtype=np.float64) for arm in groups} for measure in measures
    ]


def filtered_values(
    measures: Sequence[Measure], groups: Mapping[str, Group], scores: Mapping[str, Array], bar: float, prompt: int
) -> dict[Measure, dict[str, float]]:
    """`quality_filtered_values` of the prompt at one place, arm -> its completions and their scores."""
    values = {measure: dict.fromkeys(groups, float("nan")) for measure in measures}
    passing = {arm: np.flatnonzero(scores[arm] >= bar) for arm in groups}
    fewest = min(len(samples) for samples in passing.values())
    fitting = [measure for measure in measures if fewest >= 2 and measure.fits(fewest)]
    for arm, samples in passing.items() if fitting else ():
        expected = expected_values(fitting, groups[arm].only(samples.tolist()), fewest, prompt)
        for measure, value in zip(fitting, expected, strict=True):
            values[measure][arm] = value
    return values


def expected_values(measures: Sequence[Measure], passing: Group, m: int, seed: int) -> list[float]:
    """Each metric's expected value on m of these completions, which are m or more, over `SUBSETS` seeded subsets.

    Subset by subset, so that metrics of one subset share what they count in it.
    """
    k = len(passing.completions)
    if k == m:
        return [float(measure(passing)) for measure in measures]
    of_subset = [measure for measure in measures if not measure.definition.any_k]
    subsets = (passing.only(subset.tolist()) for subset in _subsets(k, m, seed))
    table = [[measure(subset) for measure in of_subset] for subset in subsets] if of_subset else [[]]
    means = iter(np.mean(table, axis=0))
    return [float(measure(passing) if measure.definition.any_k else next(means)) for measure in measures]


def _subsets(k: int, m: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`SUBSETS` subsets of m out of k: shuffled orders cut into pieces, so that all are used about equally often."""
    generator = np.random.default_rng([seed, k, m])
    made = 0
    while True:
        order = generator.permutation(k)
        for start in range(0, k - m + 1, m):
            if made == SUBSETS:
                return
            made += 1
            # In the order they were drawn in, which a metric may depend on.
            yield np.sort(order[start : start + m])


def _bar_of(scores: Sequence[Array], arm: str) -> tuple[float, str]:
    """The bar that an arm's scores set, and where it comes from."""
    values = np.concatenate([np.empty(0), *scores])
    source, defined = f"the median of {arm}", values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), source
    middle, lowest = np.median(defined), defined.min()
    good = defined[(defined >= middle) & (defined > lowest)]
    if not good.size:
        return float(defined.max()), source
    return float(good.min()), f"the next value above {source}" if middle == lowest else source


def _share(arrays: Sequence[Array], bar: float) -> float:
    values = np.concatenate([np.empty(0), *arrays])
    return float(np.mean(values >= bar)) if values.size else 0.0
