"""Why does A differ from B? On which tags, topics and single prompts a measure changed most, beyond chance.

**Parts.** Of each tag and each topic: is the mean of its prompts' differences that of all other prompts? The prompt, or
the cluster of prompts, is the unit, and the test is the more careful of Welch's and a permutation test
(`contrast_p_values`). Prompts have several tags, and measures are taken of the same completions, so the tests depend on
each other in any way; their p-values are adjusted by Benjamini and Yekutieli (2001), which holds however they do. Where
one tag lost, every other lost less than its rest, which holds that one: what stands out must do so beside the surer
ones too, on the prompts that are in none of them.

**Prompts.** Of each single prompt: is its difference more than other completions would make of it? The completion is
the unit (`within_prompt`). What falls by chance is drawn anew on every prompt, so tests of different prompts are
independent, and Benjamini and Hochberg (1995) adjust; of one prompt's few measures they are not, which among many
prompts does not matter.

Intervals of what is named are widened for its having been chosen (Benjamini & Yekutieli 2005): they hold for
`CONFIDENCE` of those that are named.

Both families are those of all arms and measures together. Where nothing changed anywhere, something is named with a
chance of at most `PART_LEVEL` + `PROMPT_LEVEL`. Cost: linear in prompts, for each of at most `MOST_TAGS` tags.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from evalkit.analysis.estimates import bounds_of, bounds_of_differences
from evalkit.analysis.intervals import Bounds, Mean, by_cluster, contrast_p_values, mean_intervals
from evalkit.analysis.prompt_parts import FEWEST, parts_of
from evalkit.analysis.within_prompt import PromptTests, prompt_tests
from evalkit.metrics.summary import Estimate, MeasureChange, Part, PartChange, PromptChange, Summary, WhereChanged
from evalkit.plumbing.arrays import Array, finite_or_none, nan_for_none
from evalkit.records import CONFIDENCE, Prompt, Side

PART_LEVEL, PROMPT_LEVEL = 0.03, 0.02
"""Which share of the parts, and of the prompts, that are named may be named wrongly: together 1 - CONFIDENCE."""
SIDES: tuple[Side, ...] = ("diversity", "quality")
MOST_FAMILIES = 2
"""Measures of a side, each of another family: what a reader keeps in mind, and each is a test more."""
Pair = tuple[Estimate, Estimate]
"""One measure of an arm, and of its baseline."""


def with_where_changed(summary: Summary, prompts: Sequence[Prompt], forms: Mapping[str, str]) -> Summary:
    """The summary with its parts and where it changed.

    `prompts`: at least those of the summary; `forms`: as `headline_measures` takes them.
    """
    by_id = {prompt.id: prompt for prompt in prompts}
    asked = [by_id[prompt] for prompt in summary.prompts]
    pairs = _pairs(summary, headline_measures(summary.estimates, forms))
    if not pairs:
        return replace(summary, parts=parts_of(asked, with_topics=False), where_changed=None)
    parts = parts_of(asked)
    return replace(summary, parts=parts, where_changed=where_changed(pairs, summary.prompts, parts, summary.clusters))


def headline_measures(estimates: Iterable[Estimate], forms: Mapping[str, str]) -> list[str]:
    """At most `MOST_FAMILIES` measures of diversity and of quality: of each family the one that is pictured best.

    One whose single prompts can be tested goes before others. `forms`: plain measure -> the form in which all arms may
    stand side by side; without those that may not.
    """
    known: dict[str, Estimate] = {}
    for estimate in estimates:
        if any(value is not None for value in estimate.values):
            known.setdefault(estimate.metric, estimate)
    chosen: list[str] = []
    for side in SIDES:
        best: dict[str, Estimate] = {}
        for form in forms.values():
            candidate = known.get(form)
            if candidate is None or candidate.traits.side != side:
                continue
            family = candidate.traits.family
            if family not in best or _preference(candidate) < _preference(best[family]):
                best[family] = candidate
        chosen += [estimate.metric for estimate in sorted(best.values(), key=_preference)[:MOST_FAMILIES]]
    return chosen


def _preference(estimate: Estimate) -> tuple[bool, float]:
    picture = estimate.traits.picture
    return not estimate.errors, math.inf if picture is None else picture


def _pairs(summary: Summary, measures: Sequence[str]) -> list[Pair]:
    """Every compared arm's, measure by measure, where both are measured alike."""
    known = {(estimate.metric, estimate.arm): estimate for estimate in summary.estimates}
    compared = [(arm.name, arm.baseline) for arm in summary.arms if arm.baseline is not None]
    pairs = [
        (known.get((measure, arm)), known.get((measure, baseline)))
        for arm, baseline in compared
        for measure in measures
    ]
    return [(here, there) for here, there in pairs if here and there and here.signature == there.signature]


def where_changed(
    pairs: Sequence[Pair], prompts: Sequence[str], parts: Sequence[Part], clusters: Sequence[str] = ()
) -> WhereChanged:
    """Where each of these measures changed. The estimates' values are in the order of `prompts`.

    `clusters`: to which cluster each of the prompts belongs; empty: each is its own. Parts that have or leave fewer
    than `FEWEST` of these prompts are left out.
    """
    rows = [nan_for_none(here.values) - nan_for_none(there.values) for here, there in pairs]
    split = [_Split(part, mask, clusters) for part in parts if _is_large_enough(mask := _mask(part, prompts), clusters)]
    of_parts = _part_tests(np.stack(rows), split)
    tests = [prompt_tests(here, there) for here, there in pairs]
    of_prompts = _prompt_changes(tests, pairs, prompts)
    return WhereChanged(
        confidence=CONFIDENCE,
        changes=tuple(
            replace(
                _whole(pair, gaps, clusters),
                parts=tuple(_part_change(pair, gaps, each, of_parts, (row, at)) for at, each in enumerate(split)),
                prompts=of_prompts[row],
                tested=_tested(tests[row]),
            )
            for row, (pair, gaps) in enumerate(zip(pairs, rows, strict=True))
        ),
        part_tests=of_parts.count,
        part_level=PART_LEVEL,
        prompt_tests=sum(map(_tested, tests)),
        prompt_level=PROMPT_LEVEL,
    )


@dataclass(frozen=True, slots=True)
class _Split:
    """The prompts of a part, and the rest."""

    part: Part
    mask: NDArray[np.bool_]
    """(P,) whether each prompt is in it."""
    clusters: Sequence[str]
    """(P,) of all prompts, or empty."""

    @property
    def key(self) -> bytes:
        """The same for a part and for what it leaves: the two make one question."""
        return min(self.mask.tobytes(), (~self.mask).tobytes())

    def clusters_of(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        """Those of the prompts of a mask."""
        return tuple(np.asarray(self.clusters)[mask]) if self.clusters else ()


def _mask(part: Part, prompts: Sequence[str]) -> NDArray[np.bool_]:
    inside = set(part.prompts)
    return np.array([prompt in inside for prompt in prompts], dtype=np.bool_)


def _is_large_enough(mask: NDArray[np.bool_], clusters: Sequence[str]) -> bool:
    names = np.asarray(clusters) if clusters else np.arange(len(mask))
    return min(len(np.unique(names[mask])), len(np.unique(names[~mask]))) >= FEWEST


@dataclass(frozen=True, slots=True)
class _PartTests:
    """(m, S) of m measures and S parts: of "it changed there as much as elsewhere"."""

    p: Array
    adjusted: Array
    stands_out: NDArray[np.bool_]
    count: int
    """Tests in the family."""

    @property
    def confidence_of_named(self) -> float:
        return _confidence_of_named(int(self.stands_out.sum()), self.count)


def _confidence_of_named(named: int, of: int) -> float:
    """At which level intervals hold for `CONFIDENCE` of those that are named among so many, for having been chosen."""
    return 1 - (1 - CONFIDENCE) * named / max(1, of)


def _part_tests(gaps: Array, split: Sequence[_Split]) -> _PartTests:
    """`gaps`: (m, P) differences. A part and its complement are one test, and the one that changed more stands out."""
    p, sizes = np.full((len(gaps), len(split)), np.nan), np.zeros((len(gaps), len(split)))
    first = {each.key: at for at, each in reversed(list(enumerate(split)))}
    for at, each in enumerate(split):
        here, there = gaps[:, each.mask], gaps[:, ~each.mask]
        sizes[:, at] = [abs(_mean(row)) for row in here]
        if first[each.key] == at:
            p[:, at] = _contrasts(here, there, each.clusters_of(each.mask), each.clusters_of(~each.mask))
    adjusted = adjusted_p_values(p, "by")
    for at, each in enumerate(split):
        p[:, at], adjusted[:, at] = p[:, first[each.key]], adjusted[:, first[each.key]]
    rejected = adjusted < PART_LEVEL
    count = int(np.isfinite(p[:, sorted(set(first.values()))]).sum())
    rows = zip(gaps, p, sizes, rejected, strict=True)
    stands_out = np.stack([_without_shadows(*row, split) for row in rows])
    return _PartTests(p, adjusted, stands_out, count)


def _without_shadows(
    gaps: Array, p: Array, sizes: Array, rejected: NDArray[np.bool_], split: Sequence[_Split]
) -> NDArray[np.bool_]:
    """(S,) of the parts that were rejected those that stand out without the prompts of surer ones too.

    All were found already; so this is held to Bonferroni's level among those found alone. Of a part and its
    complement, which have one p, the one that changed more is the surer.
    """
    level = (1 - CONFIDENCE) / max(1, int(np.count_nonzero(rejected)) - 1)
    kept, left = np.zeros(len(split), dtype=np.bool_), np.ones(len(gaps), dtype=np.bool_)
    for at in sorted(np.flatnonzero(rejected), key=lambda at: (p[at], -sizes[at])):
        each = split[at]
        here, there = each.mask & left, ~each.mask & left
        again = _contrasts(gaps[None, here], gaps[None, there], each.clusters_of(here), each.clusters_of(there))
        kept[at] = not kept.any() or bool(again[0] < level)
        if kept[at]:
            left &= ~each.mask
    return kept


def _mean(row: Array) -> float:
    defined = row[~np.isnan(row)]
    return float(defined.mean()) if len(defined) else math.nan


def _contrasts(here: Array, there: Array, inside: Sequence[str], outside: Sequence[str]) -> Array:
    """(m,) p-values; NaN where a measure is defined on too few prompts, or clusters of them, on either side."""
    p = contrast_p_values(here, there, inside, outside)
    counts = [np.isfinite(by_cluster(rows, names)).sum(axis=1) for rows, names in ((here, inside), (there, outside))]
    return np.asarray(np.where(np.minimum(*counts) >= FEWEST, p, np.nan), dtype=np.float64)


def adjusted_p_values(p: Array, method: Literal["bh", "by"]) -> Array:
    """Those of Benjamini and Hochberg or of Benjamini and Yekutieli, over all that are defined; NaN stays NaN."""
    adjusted, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        adjusted[known] = scipy_stats.false_discovery_control(p[known], method=method)
    return adjusted


def _whole(pair: Pair, gaps: Array, clusters: Sequence[str]) -> MeasureChange:
    """What became of it over all prompts, and nothing of where."""
    here, there = pair
    [mean] = mean_intervals(gaps[None, :], CONFIDENCE, clusters, _bounds(pair))
    return MeasureChange(
        here.metric,
        here.arm,
        there.arm,
        here.better,
        here.traits.side,
        here.traits.plain,
        *_numbers(mean),
        parts=(),
        prompts=(),
        tested=0,
    )


def _part_change(pair: Pair, gaps: Array, split: _Split, tests: _PartTests, at: tuple[int, int]) -> PartChange:
    confidence = tests.confidence_of_named if tests.stands_out[at] else CONFIDENCE
    inside, outside = (
        mean_intervals(gaps[None, mask], level, split.clusters_of(mask), _bounds(pair))[0]
        for mask, level in ((split.mask, confidence), (~split.mask, CONFIDENCE))
    )
    return PartChange(
        split.part.kind,
        split.part.name,
        inside.count,
        *_numbers(inside),
        *_numbers(outside),
        p=finite_or_none(tests.p[at]),
        p_adjusted=finite_or_none(tests.adjusted[at]),
        stands_out=bool(tests.stands_out[at]),
    )


def _numbers(mean: Mean) -> tuple[float | None, float | None, float | None]:
    return finite_or_none(mean.value), finite_or_none(mean.low), finite_or_none(mean.high)


def _bounds(pair: Pair) -> Bounds | None:
    here, _ = pair
    return bounds_of_differences(bounds_of(here.traits, here.samples))


def _tested(tests: PromptTests | None) -> int:
    return 0 if tests is None else int(np.isfinite(tests.p).sum())


def _prompt_changes(
    tests: Sequence[PromptTests | None], pairs: Sequence[Pair], prompts: Sequence[str]
) -> list[tuple[PromptChange, ...]]:
    """Of each measure the prompts that are clear by themselves, first those whose change is largest at the least."""
    family = np.concatenate([np.empty(0), *(each.p for each in tests if each is not None)])
    adjusted = adjusted_p_values(family, "bh")
    clear = int((adjusted < PROMPT_LEVEL).sum())
    alpha = 1 - _confidence_of_named(clear, int(np.isfinite(family).sum()))
    found: list[tuple[PromptChange, ...]] = []
    start = 0
    for each, pair in zip(tests, pairs, strict=True):
        if each is None:
            found.append(())
            continue
        own = adjusted[start : start + len(prompts)]
        start += len(prompts)
        changes = [_prompt_change(each, row, prompts[row], own[row], alpha, _bounds(pair))
                   for row in np.flatnonzero(own < PROMPT_LEVEL)]  # fmt: skip
        found.append(tuple(sorted(changes, key=lambda change: (-_at_least(change), -abs(change.value)))))
    return found


def _prompt_change(
    tests: PromptTests, row: int, prompt: str, adjusted: float, alpha: float, bounds: Bounds | None
) -> PromptChange:
    low, high = tests.interval(row, alpha)
    lowest, highest = bounds or (-math.inf, math.inf)
    return PromptChange(prompt, float(tests.gaps[row]), max(low, lowest), min(high, highest), float(adjusted))


def _at_least(change: PromptChange) -> float:
    """The end of its interval that is nearer to 0; 0 where it holds that."""
    return max(change.low, -change.high, 0.0)
