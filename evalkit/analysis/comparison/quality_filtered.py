"""Equal quality: diversity among the completions that are good enough, at equal numbers of them.

Noise is diverse. How many completions pass the bar differs between arms and prompts, and most metrics move with the
number of texts, so the useful diversity of a prompt is the metric's expected value on m passing completions, with m the
number that the arm with the fewest has. Some find that tuning raises diversity among good texts (arXiv 2504.12522),
others a fall all the way; the report shows plain and useful diversity side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array
from evalkit.records import Bar, Group

SUBSETS = 8
"""Subsets of m that the expected value is averaged over: they cut the noise of one subset to about a third."""
Scores = Mapping[str, Sequence[Array]]
"""Arm -> one array a prompt, one number a completion."""


def set_bar(measure: str, scores: Scores, home: str, asked: float | None) -> Bar:
    """The bar that a completion must reach: the one `asked` for, else the median of the arm `home`.

    Where that median is also the lowest value that there is (right or wrong, say), every completion would pass; then
    the bar is the next value above it.
    """
    at_least, source = _home_bar(scores[home], home) if asked is None else (asked, "the suite")
    return Bar(measure, at_least, source, {arm: _share(arrays, at_least) for arm, arrays in scores.items()})


def useful_values(
    measures: Sequence[Measure], groups: Mapping[str, Sequence[Group]], scores: Scores, bar: float
) -> list[dict[str, Array]]:
    """For each metric, arm -> its expected value a prompt on m of the completions that pass.

    Averaged over `SUBSETS` seeded subsets without replacement, which between them use every passing completion about
    equally often; a metric whose expected value does not depend on k (`any_k`) takes all that pass. NaN on prompts
    where some arm has fewer than two, or fewer than a `k` of the measure: a prompt counts for every arm or for none.
    """
    prompts = len(next(iter(groups.values()), ()))
    values = [{arm: np.full(prompts, np.nan) for arm in groups} for _ in measures]
    for prompt, members in enumerate(zip(*groups.values(), strict=True)):
        passing = {arm: np.flatnonzero(scores[arm][prompt] >= bar) for arm in groups}
        fewest = min(len(places) for places in passing.values())
        fitting = [place for place, measure in enumerate(measures) if fewest >= 2 and measure.fits(fewest)]
        for (arm, places), group in zip(passing.items(), members, strict=True) if fitting else ():
            expected = _expected([measures[place] for place in fitting], group.only(places.tolist()), fewest, prompt)
            for place, value in zip(fitting, expected, strict=True):
                values[place][arm][prompt] = value
    return values


def _expected(measures: Sequence[Measure], passing: Group, m: int, seed: int) -> list[float]:
    """Subset by subset, so that metrics of one subset share what they count in it."""
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
    found = 0
    while True:
        order = generator.permutation(k)
        for start in range(0, k - m + 1, m):
            if found == SUBSETS:
                return
            found += 1
            # In the order they were drawn in, which a metric may depend on.
            yield np.sort(order[start : start + m])


def _home_bar(scores: Sequence[Array], home: str) -> tuple[float, str]:
    """The bar that the scores of the arm `home` set, and where it comes from."""
    values = np.concatenate([np.empty(0), *scores])
    source, known = f"the median of {home}", values[~np.isnan(values)]
    if not known.size:
        return float("nan"), source
    middle, lowest = np.median(known), known.min()
    good = known[(known >= middle) & (known > lowest)]
    if not good.size:
        return float(known.max()), source
    return float(good.min()), f"the next value above {source}" if middle == lowest else source


def _share(arrays: Sequence[Array], bar: float) -> float:
    values = np.concatenate([np.empty(0), *arrays])
    return float(np.mean(values >= bar)) if values.size else 0.0
