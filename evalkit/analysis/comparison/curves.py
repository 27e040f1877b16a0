"""Curves over k: what k completions of a prompt would have shown, and where the baseline overtakes.

A tuned checkpoint is often better with one sample and explores less, so that the baseline, sampled often enough, finds
what it cannot (Yue et al. 2025). Every point is the exact mean over all subsets of k of a prompt's n completions, then
the mean over prompts with its interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evalkit.analysis.completion_scores import Scores
from evalkit.analysis.estimates import bounds_of
from evalkit.analysis.intervals import by_cluster, mean_intervals, mean_p_values, resampled_means
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.declaration import Traits
from evalkit.metrics.diversity.distribution import branching_by_position
from evalkit.metrics.diversity.semantic_classes import THRESHOLD, partition
from evalkit.metrics.divisions.divided import classes_in, division_of
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.estimators.subsets import best_of, expected_classes, expected_kinds, pass_at
from evalkit.metrics.registry import Measure, parse
from evalkit.metrics.summary import Crossover, Curve
from evalkit.metrics.text_sets import words_of
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.plumbing.by_row import by_row
from evalkit.records import CONFIDENCE, Arm, Group

NGRAM = 2
"""Words in the n-grams whose number is shown against that of completions."""
POSITIONS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)
"""Tokens of a completion at which branching is shown."""
ALONG = "branching"
"""The curve that is along the tokens of an answer: it need not rise."""
OF_QUALITY = ("pass_at", "best_of")
"""Curves on which overtaking means something: all arms show one class at k = 1."""


@dataclass(frozen=True)
class Traced:
    """One kind of curve for every prompt of every arm."""

    name: str
    measure: str
    unit: str
    signature: str
    ks: tuple[int, ...]
    values: Mapping[str, Array]
    """Arm -> (P, len(ks)), NaN where undefined."""
    traits: Traits = field(default_factory=Traits)
    """Of what it is made from; "k" among its bounds is each point's own."""


def trace(
    measures: Sequence[Measure],
    scores: Mapping[str, Scores],
    sampled: SampledArms,
    encoder: str,
    points: Points | None = None,
) -> list[Traced]:
    """Every curve that these completions allow.

    `scores`: measure -> its scores, of those of `measures` that are scores; `encoder`: identity of what embedded the
    completions; `points`: what `PointsOf` found of each prompt, where somebody has looked.

    Different things said (where there are embeddings), distinct n-grams, pass@k of right or wrong, best-of-k of other
    scores; and branching at each token position, of arms that are draws from the untempered model distribution. On
    prompts with fewer completions than others, and where one has no score, a curve is undefined; so it is for arms
    whose answers are no independent draws: of those k of n are not what k would have been.
    """
    tokenizer = words_of(sampled.groups)
    if points is None:
        raw = frozenset(arm.name for arm in sampled.arms if arm.is_raw)
        points = by_row(PointsOf(raw, tuple(_divided(measures))), sampled.groups)
    n = max((points_of.completions for row in points for points_of in row.values()), default=0)
    if n < 2:
        return []
    traced = [
        *_of_classes(points, n, encoder, tokenizer),
        *_of_divisions(points, n, measures, tokenizer),
        *_of_ngrams(points, n, tokenizer),
        *_of_scores(measures, scores, n),
        *_of_positions(points),
    ]
    dependent = [arm.name for arm in sampled.arms if not arm.is_independent]
    return [_without(kind, dependent) for kind in traced] if dependent else traced


def _without(traced: Traced, arms: Sequence[str]) -> Traced:
    undefined = {arm: np.full_like(traced.values[arm], np.nan) for arm in arms}
    return replace(traced, values={**traced.values, **undefined})


def curves(traced: Sequence[Traced], arms: Sequence[Arm], clusters: Sequence[str] = ()) -> list[Curve]:
    """The mean over prompts at every k with its interval, for every arm; `clusters`: that of each prompt.

    Where curves rise on every prompt, as all but branching do, ends rise too: a lower end is the lowest of this and all
    larger k, an upper one the highest of this and all smaller, as a mean that could be so low there could not be higher
    here. Such intervals hold wherever those of each k by itself do. The tightest ends would rise as well, and do not
    hold: where all seen prompts are solved in the end and a tenth of all never is, they miss pass@k at 8 prompts in 44
    of 100 trials, these in none. Of prompts as hard as Beta(0.3, 0.3) or Beta(0.5, 2) these are up to a fifth wider
    than each k's own, and much wider where those miss.
    """
    return [_curve(kind, arm.name, clusters) for kind in traced for arm in arms]


def _curve(traced: Traced, arm: str, clusters: Sequence[str]) -> Curve:
    values = np.ascontiguousarray(traced.values[arm].T)
    means = [
        mean_intervals(row[None, :], CONFIDENCE, clusters, bounds_of(traced.traits, k))[0]
        for row, k in zip(values, traced.ks, strict=True)
    ]
    lows, highs = np.array([mean.low for mean in means]), np.array([mean.high for mean in means])
    if traced.name != ALONG:
        lows, highs = rising_ends(lows, highs)
    return Curve(
        name=traced.name,
        measure=traced.measure,
        unit=traced.unit,
        signature=traced.signature,
        arm=arm,
        ks=traced.ks,
        values=tuple(finite_or_none(mean.value) for mean in means),
        lows=tuple(map(finite_or_none, lows.tolist())),
        highs=tuple(map(finite_or_none, highs.tolist())),
        confidence=CONFIDENCE,
        prompts=means[-1].count,
    )


def rising_ends(lows: Array, highs: Array) -> tuple[Array, Array]:
    """The ends of intervals along a curve that rises, (K,) each: the lowest low from there on, the highest high so far.

    NaN where they are.
    """
    lowest = np.fmin.accumulate(lows[::-1])[::-1]
    return np.where(np.isnan(lows), np.nan, lowest), np.where(np.isnan(highs), np.nan, np.fmax.accumulate(highs))


def crossovers(traced: Sequence[Traced], arms: Sequence[Arm], clusters: Sequence[str] = ()) -> list[Crossover]:
    """For every curve of quality and every compared arm: the k beyond which the baseline is above, with its interval.

    The interval is that of the whole curve of paired differences, bootstrapped over prompts, or over their
    clusters; while no test tells the difference at the largest k from 0, it reaches past that k. Where it leaves
    nothing out, no k is told. Curves that end equal on every prompt, as pass@k does where all is solved, say nothing
    there: they are read as far as they differ. Arms whose curves differ nowhere, or that have no prompt in common
    with their baseline, have none.
    """
    return [
        crossover
        for kind in traced
        if kind.name in OF_QUALITY
        for arm in arms
        if arm.baseline is not None
        for crossover in _crossover(kind, arm.name, arm.baseline, clusters)
    ]


def overtaken_at(ks: Sequence[int], differences: Array) -> Array:
    """The k beyond which a curve of differences stays below 0, [B] for [B, K].

    0 where all of it is below, inf where its end is not. Between two k it is read on the line over log k.
    """
    logs = np.log(np.asarray(ks, dtype=np.float64))
    ahead = differences >= 0
    last = len(ks) - 1 - np.argmax(ahead[:, ::-1], axis=1)
    after = np.minimum(last + 1, len(ks) - 1)
    rows = np.arange(len(differences))
    above, below = differences[rows, last], differences[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        crossing = np.exp(logs[last] + above / (above - below) * (logs[after] - logs[last]))
    overtaken = np.where(ahead[:, -1], np.inf, crossing)
    return np.asarray(np.where(ahead.any(axis=1), overtaken, 0.0), dtype=np.float64)


def _crossover(traced: Traced, arm: str, baseline: str, clusters: Sequence[str]) -> Iterator[Crossover]:
    differences = traced.values[arm] - traced.values[baseline]
    differences[np.isnan(differences).any(axis=1)] = np.nan
    differences = by_cluster(differences.T, clusters).T
    differences = differences[~np.isnan(differences).any(axis=1)]
    ks = traced.ks[: 1 + int(np.flatnonzero(differences.any(axis=0)).max(initial=-1))]
    if len(differences) < 2 or not ks:
        return
    differences = differences[:, : len(ks)]
    [k] = overtaken_at(ks, differences.mean(axis=0)[None, :])
    resampled = np.sort(overtaken_at(ks, resampled_means(differences)))
    outside = int((1 - CONFIDENCE) / 2 * len(resampled))
    low, high = resampled[outside], resampled[-1 - outside]
    if mean_p_values(differences[:, -1:].T)[0] >= 1 - CONFIDENCE:  # few equal differences are no sure one
        low, high = (0.0 if math.isinf(low) else low), math.inf
    is_told = low > 0 or math.isfinite(high)
    yield Crossover(
        name=traced.name,
        measure=traced.measure,
        signature=traced.signature,
        arm=arm,
        baseline=baseline,
        k=finite_or_none(k) if is_told else None,
        low=finite_or_none(low),
        high=finite_or_none(high),
        largest=ks[-1],
    )


@dataclass(frozen=True, slots=True)
class OfGroup:
    """What the curves of one prompt are made from."""

    completions: int
    classes: Array | None
    """What `expected_classes` says at each of `_ks(completions)`; None without embeddings."""
    divided: Mapping[str, Array | None]
    """Who else divides -> the same of its classes; None where it does not know them."""
    ngrams: Array
    """What `expected_kinds` says of n-grams there."""
    branching: Array
    """(len(POSITIONS),), all NaN for arms that are no draws from the untempered distribution."""


Points = Sequence[Mapping[str, OfGroup]]
"""Prompt by prompt, arm -> what curves are made from."""


@dataclass(frozen=True)
class PointsOf:
    """What curves are made from, of one prompt's completions under all arms."""

    raw: frozenset[str]
    """Arms that are draws from their checkpoint's untempered distribution."""
    divisions: tuple[str, ...] = ()
    """Who divides completions into classes, besides embeddings."""

    def __call__(self, row: int, groups: Mapping[str, Group]) -> dict[str, OfGroup]:
        return {arm: self._of_group(arm, group) for arm, group in groups.items()}

    def _of_group(self, arm: str, group: Group) -> OfGroup:
        k = len(group.completions)
        ks = _ks(k)
        holders = Counter(ngram for words in group.words for ngram in _ngrams(words))
        return OfGroup(
            k,
            None if group.embeddings is None else _found(partition(group, THRESHOLD), ks),
            {key: None if (of_key := classes_in(group, key)) is None else _found(of_key, ks) for key in self.divisions},
            expected_kinds(list(holders.values()), k, ks) if k else np.empty(0),
            _branching(group) if arm in self.raw else np.full(len(POSITIONS), np.nan),
        )


def _found(classes: Ints, ks: Sequence[int]) -> Array:
    """How many classes so many completions show."""
    return expected_classes(np.bincount(classes).tolist(), ks) if len(classes) else np.empty(0)


def _by_arm(points: Points, of: Callable[[OfGroup], Array]) -> dict[str, Array]:
    """Arm -> one row a prompt."""
    arms = dict.fromkeys(arm for row in points for arm in row)
    return {arm: np.stack([of(row[arm]) for row in points if arm in row]) for arm in arms}


def _of_classes(points: Points, n: int, encoder: str, tokenizer: str) -> Iterator[Traced]:
    if all(points_of.classes is None for row in points for points_of in row.values()):
        return
    ks = _ks(n)
    nothing = np.full(len(ks), np.nan)
    values = _by_arm(points, lambda one: one.classes if one.completions == n and one.classes is not None else nothing)
    measure = parse("distinct_k")
    signature = measure.signature(n, encoder, tokenizer=tokenizer)
    yield _classes(measure, signature, ks, values)


def _of_divisions(points: Points, n: int, measures: Sequence[Measure], tokenizer: str) -> Iterator[Traced]:
    """As `_of_classes`, by each who divides completions for one of the measures."""
    ks = _ks(n)
    nothing = np.full(len(ks), np.nan)
    for key, measure in _divided(measures).items():
        values = {
            arm: np.stack([nothing if row is None or len(row) != len(ks) else row for row in rows])
            for arm, rows in _rows_of(points, key).items()
        }
        signature = measure.signature(n, "", tokenizer=tokenizer)
        yield _classes(measure, signature, ks, values)


def _classes(measure: Measure, signature: str, ks: tuple[int, ...], values: Mapping[str, Array]) -> Traced:
    unit, traits = measure.definition.unit, measure.definition.traits
    return Traced("classes", str(measure), unit, f"classes|{signature}", ks, values, traits)


def _divided(measures: Sequence[Measure]) -> dict[str, Measure]:
    """Who divides completions for these measures -> how many classes it finds, as a measure."""
    divisions = [division_of(measure.definition, measure.params) for measure in measures]
    return {one.key: parse(one.measure("distinct_k")) for one in dict.fromkeys(divisions) if one is not None}


def _rows_of(points: Points, key: str) -> dict[str, list[Array | None]]:
    arms = dict.fromkeys(arm for row in points for arm in row)
    return {arm: [row[arm].divided.get(key) for row in points if arm in row] for arm in arms}


def _of_ngrams(points: Points, n: int, tokenizer: str) -> Iterator[Traced]:
    ks = _ks(n)
    nothing = np.full(len(ks), np.nan)
    values = _by_arm(points, lambda one: one.ngrams if one.completions == n else nothing)
    name = "distinct_ngrams"
    signature = f"{name}|n:{NGRAM}|tok:{tokenizer}|of:{n}|v:1.0"
    yield Traced(name, f"n:{NGRAM}", f"{NGRAM}-grams", signature, ks, values, Traits(bounds=(0, None)))


def _ngrams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return set(zip(*(words[start:] for start in range(NGRAM)), strict=False))


def _of_scores(measures: Sequence[Measure], scores: Mapping[str, Scores], n: int) -> Iterator[Traced]:
    ks = _ks(n)
    for measure in measures:
        if not measure.definition.is_quality:
            continue
        is_right_or_wrong = "answer" in measure.definition.needs
        name, unit, traits = (
            ("pass_at", "share", Traits(bounds=(0, 1)))
            if is_right_or_wrong
            else ("best_of", measure.definition.unit, measure.definition.traits)
        )
        values = {
            arm: np.stack([_best_of_samples(array, n, ks, is_right_or_wrong) for array in arrays])
            for arm, arrays in scores[str(measure)].items()
        }
        signature = f"{name}|score:{measure.essentials}|of:{n}|v:1.0"
        yield Traced(name, str(measure), unit, signature, ks, values, traits)


def _best_of_samples(values: Array, n: int, ks: Sequence[int], is_right_or_wrong: bool) -> Array:
    if len(values) != n or np.isnan(values).any():
        return np.full(len(ks), np.nan)
    return pass_at(int(np.count_nonzero(values)), n, ks) if is_right_or_wrong else best_of(values, ks)


def _of_positions(points: Points) -> Iterator[Traced]:
    """Branching by position, as far as half of the prompts of some arm have half of their completions still going."""
    values = _by_arm(points, lambda one: one.branching)
    reached = np.max([(~np.isnan(rows)).mean(axis=0) for rows in values.values()], axis=0) >= 1 / 2
    if reached.any():
        kept = {arm: rows[:, reached] for arm, rows in values.items()}
        positions = tuple(position for position, is_reached in zip(POSITIONS, reached, strict=True) if is_reached)
        signature = "branching|by:position|v:1.0"
        yield Traced(ALONG, "position", "next tokens", signature, positions, kept, Traits(bounds=(1, None)))


def _branching(group: Group) -> Array:
    """(len(POSITIONS),), NaN where fewer than half of the completions are still going."""
    branching, going = branching_by_position(group)
    shown = np.full(len(POSITIONS), np.nan)
    for column, position in enumerate(POSITIONS):
        if position <= len(going) and going[position - 1] >= len(group.completions) / 2:
            shown[column] = branching[position - 1]
    return shown


def _ks(n: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*(2**i for i in range(n.bit_length()) if 2**i <= n), n)))
