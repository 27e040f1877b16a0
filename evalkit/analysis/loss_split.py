"""What was lost, split: how much of a loss of diversity is bad answers gone, how much is narrower among good ones.

A base model says much that is wrong or broken, and that is various too. Lake, Choi & Durrett (2024, arXiv 2406.17692)
hold that most of what tuning loses is this; Karouzos, Tan & Aletras (2026, arXiv 2604.16027) split the loss into
quality control and a residual among correct answers. With D a measure of diversity, b the baseline, a the arm, and
|good the completions that reach the bar of the suite's quality:

    total           = D(b) - D(a)
    quality_control = [D(b) - D(b|good)] - [D(a) - D(a|good)]    what bad answers add to b, less what they add to a
    narrowing       = D(b|good) - D(a|good)

so total = quality_control + narrowing, on every prompt and so in every mean over the same prompts. The arm's own bad
answers are counted, as what they still add to it: two arms with equal distributions lose nothing in either part, and
with the arms exchanged every part changes its sign alone. Bad answers may add less because they are gone, or because
they are there and less various: the shares of bad answers beside it say which. Of a measure of which less is more
diverse all signs turn.

Equal numbers: all four are the expected value on m completions, m being how many good ones the arm of the two has that
has fewer. A measure whose expected value does not depend on the number takes all there are; `distinct_k` is rarefied
exactly; any other is the mean over 8 seeded subsets, as its quality-filtered variant is.

A prompt takes part where both arms have two good completions or more, which is told of those two arms alone: a third
one changes nothing. Left out are prompts that an arm cannot do, so the split is of what both can.

Range: that of differences of the measure. Bias: given how many completions are good, good ones are draws of the good
part of the distribution, so that D(.|good) has none where the measure has none; D(.) is taken on prompts that were
chosen for having good ones, which tells where hardly any are (docs/lost.md has it in numbers). Cost: linear in prompts
and compared arms. Undefined: on prompts that take no part, or on which the measure is; everywhere without a quality,
and where no answer of the two arms is bad on the prompts that take part: quality tells nothing apart then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.analysis.comparison.quality_filtered import SUBSETS, expected_values
from evalkit.analysis.estimates import Measured
from evalkit.analysis.intervals import Bounds, holm, mean_intervals, mean_p_values
from evalkit.analysis.measure import Measurements
from evalkit.analysis.prompt_measures import Passing
from evalkit.analysis.ratios import ratio_intervals
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Bar, LossPart, LossSplit, Share
from evalkit.plumbing.arrays import Array, finite_or_none, is_number, nan_for_none
from evalkit.plumbing.by_row import by_row, is_portable
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import CONFIDENCE, Arm, Group

FEWEST = 2
"""Good completions of each of the two arms that a prompt must have."""
Pairs = Sequence[tuple[str, str]]
"""(arm, its baseline) each."""


def loss_splits(measurements: Measurements, clusters: Sequence[str], tell: Listener = QUIET) -> list[LossSplit]:
    """Every compared arm's loss by every measure that can be split; none where no quality says what is good.

    `clusters`: to which cluster each prompt belongs; empty: each is its own.
    """
    bar, arms = measurements.bar, {arm.name: arm for arm in measurements.sampled.arms}
    pairs = _pairs(list(arms.values()))
    measured = [each for each in zip(measurements.measures, measurements.measured, strict=True) if _is_split(each[0])]
    if bar is None or not pairs or not measured:
        return []
    measures = tuple(measure for measure, _ in measured)
    groups = {name: measurements.groups[name] for name in dict.fromkeys(name for pair in pairs for name in pair)}
    tell.stage("split what was lost", max(map(len, groups.values())))
    work = SplitOf(measures, tuple(pairs), Passing(measurements.scores[bar.measure], bar.at_least))
    levels = np.stack(by_row(work, groups, tell.advance, here=not all(map(is_portable, measures))))
    basis = _basis(measurements, bar)
    found = [
        split_of(levels[:, place, index], of_measure, pair, basis, clusters)
        for index, (_, of_measure) in enumerate(measured)
        for place, pair in enumerate(pairs)
    ]
    return corrected(found)


def _pairs(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """Those of independent draws: of answers that have seen each other, good ones are no draws of anything."""
    draws = {arm.name for arm in arms if arm.is_independent}
    return [(arm.name, arm.baseline) for arm in arms if arm.baseline in draws and arm.name in draws and arm.baseline]


def _is_split(measure: Measure) -> bool:
    """Plain measures of diversity on texts that a reader can picture, or that are the same at every number of them."""
    definition = measure.definition
    is_chosen = definition.any_k or definition.traits.picture is not None
    return (
        measure.variant == "whole"
        and is_chosen
        and definition.traits.side == "diversity"
        and "useful" in definition.variants
    )


def _basis(measurements: Measurements, bar: Bar) -> str:
    """What decides which completions are good, for signatures."""
    quality = next(measure for measure in measurements.measures if str(measure) == bar.measure)
    return f"quality:{quality.essentials}|bar:{bar.at_least:.6g}|subsets:{SUBSETS}"


@dataclass(frozen=True)
class SplitOf:
    """The work of one prompt: (pairs, measures, 6), NaN where the pair has too few good completions.

    Diversities of baseline, good baseline, arm, good arm at equal m; the shares of bad completions of both.
    """

    measures: tuple[Measure, ...]
    pairs: tuple[tuple[str, str], ...]
    passing: Passing

    def __call__(self, row: int, groups: Mapping[str, Group]) -> Array:
        good = {arm: np.flatnonzero(self.passing.scores[arm][row] >= self.passing.bar).tolist() for arm in groups}
        levels = np.full((len(self.pairs), len(self.measures), 6), np.nan)
        for place, (arm, baseline) in enumerate(self.pairs):
            m = min(len(good.get(arm, ())), len(good.get(baseline, ())))
            fitting = [index for index, measure in enumerate(self.measures) if m >= FEWEST and measure.fits(m)]
            if fitting:
                measures = [self.measures[index] for index in fitting]
                whole = (groups[baseline], groups[arm])
                kept = (good[baseline], good[arm])
                four = [each for group, places in zip(whole, kept, strict=True) for each in (group, group.only(places))]
                levels[place, fitting, :4] = np.transpose([expected_on(measures, group, m, row) for group in four])
                levels[place, fitting, 4:] = [
                    1 - len(places) / len(group.completions) for group, places in zip(whole, kept, strict=True)
                ]
        return levels


def expected_on(measures: Sequence[Measure], group: Group, m: int, seed: int) -> list[float]:
    """Each measure's expected value on m of the group's completions; exactly where that can be had from all of them."""
    exact = {index: asked for index, measure in enumerate(measures) if (asked := _from_all(measure, m)) is not None}
    drawn = iter(expected_values([each for i, each in enumerate(measures) if i not in exact], group, m, seed))
    return [float(exact[index](group)) if index in exact else next(drawn) for index in range(len(measures))]


def _from_all(measure: Measure, m: int) -> Measure | None:
    """The measure that says of all completions what this one says of m on average; None where there is none."""
    if measure.definition.any_k:
        return measure
    if measure.definition.of_draws != "k":
        return None
    # A `k` of the suite's own is at most m here, and what it is of does not depend on how many there are.
    return replace(
        measure, params=tuple((name, value or m if name == "k" else value) for name, value in measure.params)
    )


def split_of(
    levels: Array, measured: Measured, pair: tuple[str, str], basis: str, clusters: Sequence[str] = ()
) -> LossSplit:
    """One arm's loss by one measure, split. `levels`: (P, 6) as of `SplitOf`; p-values as they are."""
    arm, baseline = pair
    levels = np.where(np.isnan(levels).any(axis=1, keepdims=True), np.nan, levels)
    sign = -1.0 if measured.better == "lower" else 1.0
    total, narrowing = sign * (levels[:, 0] - levels[:, 2]), sign * (levels[:, 1] - levels[:, 3])
    rows = np.stack([total, total - narrowing, narrowing])
    takes_part = ~np.isnan(total)
    means = levels[takes_part].mean(axis=0) if takes_part.any() else np.full(6, np.nan)
    if not means[4:].any():
        rows = np.full_like(rows, np.nan)
    of_total, of_control, of_narrowing = (
        _part(row, reach, clusters) for row, reach in zip(rows, _reaches(measured.bounds), strict=True)
    )
    baseline_all, baseline_good, arm_all, arm_good, baseline_bad, arm_bad = map(finite_or_none, means.tolist())
    return LossSplit(
        measured.measure,
        f"split|{measured.signature}|{basis}",
        arm,
        baseline,
        total=of_total,
        quality_control=of_control,
        narrowing=of_narrowing,
        share=_share(rows[1], rows[0], of_total, clusters),
        baseline_all=baseline_all,
        baseline_good=baseline_good,
        arm_all=arm_all,
        arm_good=arm_good,
        baseline_bad=baseline_bad,
        arm_bad=arm_bad,
        fewer_bad=_part(levels[:, 4] - levels[:, 5], (-1.0, 1.0), clusters),
        prompts=int(takes_part.sum()),
        left_out=int((~takes_part).sum()),
        total_by_prompt=tuple(map(finite_or_none, rows[0].tolist())),
        narrowing_by_prompt=tuple(map(finite_or_none, rows[2].tolist())),
    )


def _reaches(bounds: Bounds | None) -> Iterable[Bounds | None]:
    """Between what the total and its two parts lie, where the measure has bounds."""
    if bounds is None:
        return [None] * 3
    width = bounds[1] - bounds[0]
    return [(-width, width), (-2 * width, 2 * width), (-width, width)]


def _part(row: Array, bounds: Bounds | None, clusters: Sequence[str]) -> LossPart:
    [mean], [p] = mean_intervals(row[None], CONFIDENCE, clusters, bounds), mean_p_values(row[None], clusters, bounds)
    value, low, high = map(finite_or_none, (mean.value, mean.low, mean.high))
    return LossPart(value, low, high, finite_or_none(float(p)), None)


def _share(part: Array, total: Array, of_total: LossPart, clusters: Sequence[str]) -> Share | None:
    """Only of what is clearly a loss: a ratio to what may be zero has no interval with two ends."""
    if not (is_number(of_total.value) and is_number(of_total.low) and of_total.value > 0 and of_total.low > 0):
        return None
    [ratio] = ratio_intervals(part[None], total[None], CONFIDENCE, clusters)
    return Share(ratio.value, ratio.low, ratio.high) if np.isfinite([ratio.low, ratio.high]).all() else None


def corrected(splits: Sequence[LossSplit]) -> list[LossSplit]:
    """The same with Holm's adjusted p-values: totals are one family, all their parts another.

    Shares of bad answers are no part of a loss and say only what a part may be called; theirs stays as it is.
    """
    totals = holm(nan_for_none(split.total.p for split in splits))
    parts = holm(nan_for_none(part.p for split in splits for part in (split.quality_control, split.narrowing)))
    return [
        replace(
            split,
            total=replace(split.total, p_adjusted=finite_or_none(totals[index])),
            quality_control=replace(split.quality_control, p_adjusted=finite_or_none(parts[2 * index])),
            narrowing=replace(split.narrowing, p_adjusted=finite_or_none(parts[2 * index + 1])),
        )
        for index, split in enumerate(splits)
    ]
