"""Measures meet completions: embeddings and scores are made once, then every metric in every variant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.analysis.comparison.cross_prompt import essentials, first_samples, number_of_pools, pooled_values
from evalkit.analysis.comparison.curves import Points, PointsOf
from evalkit.analysis.comparison.length_matched import are_cut, lengths_differ, lengths_hash, match_lengths
from evalkit.analysis.comparison.openings import opening_along
from evalkit.analysis.comparison.quality_filtered import SUBSETS, set_bar
from evalkit.analysis.completion_scores import Scores, mean_scores, score_arms
from evalkit.analysis.divide import divisions_of, with_divisions
from evalkit.analysis.estimates import Measured, bounds_of
from evalkit.analysis.overview import Overview, look_at, raw_arms
from evalkit.analysis.prompt_measures import Passing, PromptMeasures, PromptValues
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.analysis.thoughts import with_thoughts
from evalkit.analysis.undefined import undefined_values, unread_texts, untold_logprobs
from evalkit.analysis.within_prompt import measures_with_errors, score_errors
from evalkit.metrics.declaration import Need
from evalkit.metrics.divisions.divided import GIVEN, division_of
from evalkit.metrics.embeddings.attach import embed_groups, embeddings_of
from evalkit.metrics.embeddings.encoder import EMBEDDED, Encoder, Floats
from evalkit.metrics.other_prompts import design_hash, others_asked
from evalkit.metrics.registry import Measure, in_variant
from evalkit.metrics.summary import Alarm, Bar
from evalkit.metrics.text_sets import words_of
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.by_row import by_row, is_portable, is_shared
from evalkit.plumbing.lazily import each
from evalkit.plumbing.progress import Listener
from evalkit.records import Arm, Group, Groups, Variant

FEWEST_PROMPTS = 3
"""Prompts below which nothing can be said across prompts."""


@dataclass(frozen=True)
class Fairness:
    """What makes a comparison fair, as a suite asks for it."""

    quality: Measure | None = None
    """The score that says how good a completion is; one of the measures."""
    bar: float | None = None
    """The quality from which on a completion passes the filter; None: the baseline's median."""
    variants: tuple[Variant, ...] = ()
    """Variants that every metric with a better direction gets unasked."""
    curves: bool = False
    """Whether curves over k are wanted."""


PLAIN = Fairness()
"""Every measure as it is, on all completions."""


@dataclass(frozen=True)
class Measurements:
    """Every measure's values a prompt, and every score a completion."""

    measures: tuple[Measure, ...]
    """All that was measured, each metric's variants behind it."""
    measured: tuple[Measured, ...]
    """The values of each of `measures`."""
    sampled: SampledArms
    """What it was measured on, with the embeddings where a metric needed them."""
    scores: Mapping[str, Scores]
    """Measure -> the scores that it gives to single completions."""
    alarms: tuple[Alarm, ...]
    """Where values are missing, or say nothing of the texts."""
    bar: Bar | None
    """What completions must reach to pass the quality filter; None where the suite names no quality."""
    encoder: Encoder
    """What embedded the groups."""
    overview: Overview
    """What was seen of each group."""
    points: Points | None
    """What curves over k are made from; None where none are wanted."""

    @property
    def groups(self) -> Groups:
        return self.sampled.groups


@dataclass(frozen=True)
class _LengthMatched:
    """How completions are cut to equal lengths; nothing where no measure asks for that."""

    openings: Mapping[str, tuple[str, ...]]
    """Arm -> what is taken off its texts."""
    embedded: Mapping[str, Sequence[Floats]]
    """Arm -> the embeddings of each prompt's cut texts; empty where no measure needs those."""


@dataclass(frozen=True)
class _Material:
    """What measures are computed on."""

    sampled: SampledArms
    first: Groups
    """As many of each prompt's first completions as measures across prompts are taken on; empty where none asks."""
    matched: _LengthMatched
    scores: Mapping[str, Scores]
    quality: Measure | None
    bar: Bar | None


def measure_groups(
    measures: Sequence[Measure],
    sampled: SampledArms,
    tell: Listener,
    encoder: Encoder = EMBEDDED,
    fairness: Fairness = PLAIN,
) -> Measurements:
    """Compute all measures, with the variants that `fairness` adds, on all arms.

    Measures of log-probs are defined for draws from the untempered model distribution only (temperature 1, nothing cut
    off), and undefined for the other arms. Raises `MetricError`, `CheckpointError`, `EngineError` (from scores that
    load a model, and where a process that measures dies twice).
    """
    overview = look_at(sampled.groups, raw_arms(sampled.arms), tell)
    wanted = with_variants(measures, overview, fairness)
    needs = _needs(measure for measure in wanted if "thinking" not in measure.definition.needs)
    sampled = replace(sampled, groups=with_thoughts(sampled.groups, wanted, encoder, tell))
    groups, untold = with_divisions(sampled.groups, wanted, tell)
    sampled = replace(sampled, groups=groups)
    if "embeddings" in needs:
        embedded = embed_groups(sampled.groups, tell, encoder, "reference_embeddings" in needs)
        sampled = replace(sampled, groups=embedded)
    matched = _match_lengths(wanted, sampled.groups, overview, encoder, tell)
    scores = score_arms(wanted, sampled, overview, tell)
    if fairness.quality is not None and "quality" in needs:
        sampled = replace(sampled, groups=_with_quality(sampled.groups, scores[str(fairness.quality)]))
    across = any(measure.variant == "pooled" for measure in wanted)
    first = first_samples(sampled.groups, overview, tell) if across else {}
    material = _Material(sampled, first, matched, scores, fairness.quality, _bar(fairness, sampled.arms, scores))
    of_prompts = _of_prompts(list(filter(_is_of_prompts, wanted)), material, fairness.curves, tell)
    table, lengths = _table(wanted, of_prompts, material, tell), [row.lengths for row in of_prompts]
    measured = [
        replace(_measured(measure, values, material, lengths, encoder), errors=_errors(measure, of_prompts, material))
        for measure, values in table.items()
    ]
    alarms = untold + ([*unread_texts(sampled, encoder)] if "embeddings" in needs else [])
    alarms += untold_logprobs(measures, sampled)
    for measure, values in table.items():
        alarms += undefined_values(measure, values, scores.get(str(measure)))
    points = [row.points for row in of_prompts if row.points is not None] if fairness.curves else None
    return Measurements(
        tuple(wanted), tuple(measured), sampled, scores, tuple(alarms), material.bar, encoder, overview, points
    )


def with_variants(measures: Sequence[Measure], overview: Overview, fairness: Fairness) -> list[Measure]:
    """The measures, each metric with a better direction followed by the variants that it gets unasked.

    Quality-filtered ones where a quality is known, length-matched ones where lengths differ or answers were cut,
    cross-prompt ones over three prompts or more.
    """
    applies = {
        "useful": fairness.quality is not None,
        "matched": "matched" in fairness.variants and (lengths_differ(overview) or are_cut(overview)),
        "pooled": max(map(len, overview.values()), default=0) >= FEWEST_PROMPTS,
    }
    unasked = [variant for variant in fairness.variants if applies[variant]]
    wanted: dict[Measure, None] = {}
    for measure in measures:
        wanted[measure] = None
        if measure.variant == "whole" and measure.definition.better != "neither":
            defined = [variant for variant in unasked if variant in measure.definition.variants]
            wanted.update(dict.fromkeys(in_variant(measure, variant) for variant in defined))
    return list(wanted)


def _needs(measures: Iterable[Measure]) -> set[Need]:
    return {need for measure in measures for need in measure.definition.needs}


def _match_lengths(
    measures: Sequence[Measure], groups: Groups, overview: Overview, encoder: Encoder, tell: Listener
) -> _LengthMatched:
    on_matched = [measure for measure in measures if measure.variant == "matched"]
    if not on_matched:
        return _LengthMatched({}, {})
    openings = {arm: opening_along([seen.along for seen in overview[arm]], of_arm) for arm, of_arm in groups.items()}
    if "embeddings" not in _needs(on_matched):
        return _LengthMatched(openings, {})
    return _LengthMatched(openings, embeddings_of(match_lengths(groups, openings), tell, encoder))


def _bar(fairness: Fairness, arms: Sequence[Arm], scores: Mapping[str, Scores]) -> Bar | None:
    if fairness.quality is None:
        return None
    baseline = next(arm.name for arm in arms if arm.baseline is None)
    return set_bar(str(fairness.quality), scores[str(fairness.quality)], baseline, fairness.bar)


def _with_quality(groups: Groups, scores: Scores) -> dict[str, Sequence[Group]]:
    """Every group's quality, and that of the baseline's group beside it."""
    beside = {arm: _beside(groups, of_arm) for arm, of_arm in groups.items()}
    return {
        arm: each(of_arm, Rated(scores[arm], scores[beside[arm]] if beside[arm] else ()))
        for arm, of_arm in groups.items()
    }


def _beside(groups: Groups, of_arm: Sequence[Group]) -> str:
    """The arm whose groups are beside an arm's own as the baseline's; empty where none are."""
    for row, group in enumerate(of_arm):
        if group.baseline is None:
            return ""
        if group.baseline.completions:
            return next(arm for arm, others in groups.items() if others[row].completions == group.baseline.completions)
    return ""


@dataclass(frozen=True)
class Rated:
    """Groups get the quality of their completions, and of the baseline's."""

    quality: Sequence[Array]
    of_baseline: Sequence[Array]

    def __call__(self, index: int, group: Group) -> Group:
        baseline = group.baseline
        if baseline is not None and self.of_baseline:
            baseline = baseline.having(quality=self.of_baseline[index])
        return group.having(quality=self.quality[index], baseline=baseline)


def _table(
    measures: Sequence[Measure], rows: Sequence[PromptValues], material: _Material, tell: Listener
) -> dict[Measure, dict[str, Array]]:
    """Measure -> arm -> (P,) values; `rows`: what those of single groups say of each prompt."""
    arms = material.sampled.arms
    of_prompts = [measure for measure in measures if _is_of_prompts(measure)]
    table = {
        measure: {arm.name: _column(arm.name, [row.values[index] for row in rows]) for arm in arms}
        for index, measure in enumerate(of_prompts)
    }
    table |= _of_arms([measure for measure in measures if not _is_of_prompts(measure)], material, tell)
    return {measure: _of_independent(measure, table[measure], arms) for measure in measures}


def _is_of_prompts(measure: Measure) -> bool:
    """Whether it is a metric of single groups."""
    return measure.definition.kind == "metric" and measure.variant != "pooled"


def _of_independent(measure: Measure, values: dict[str, Array], arms: Sequence[Arm]) -> dict[str, Array]:
    """The values, undefined for arms of which the measure's estimate is none: but for one answer of every prompt."""
    if not measure.assumes_independence or measure.variant == "pooled":
        return values
    dependent = [arm.name for arm in arms if not arm.is_independent]
    return values | {arm: np.full_like(values[arm], np.nan) for arm in dependent}


def _column(arm: str, rows: Sequence[Mapping[str, float]]) -> Array:
    return np.array([row[arm] for row in rows if arm in row], dtype=np.float64)


def _of_prompts(measures: Sequence[Measure], material: _Material, curves: bool, tell: Listener) -> list[PromptValues]:
    """The values of each prompt, taken prompt by prompt, so that what one has counted in a group serves the next.

    Where others share in the work, metrics that ask a model of their own stay here.
    """
    groups, matched, bar = material.sampled.groups, material.matched, material.bar
    passing = None if bar is None else Passing(material.scores[bar.measure], bar.at_least)
    raw = frozenset(raw_arms(material.sampled.arms))
    points = PointsOf(raw, tuple(division.key for division in divisions_of(measures))) if curves else None
    work = PromptMeasures(
        tuple(measures),
        raw,
        matched.openings,
        matched.embedded,
        passing,
        points,
        measures_with_errors(measures),
        frozenset(_independent(material.sampled.arms)),
    )
    prompts = max(map(len, groups.values()), default=0)
    stays = [measure.definition.identity is not None or not is_portable(measure) for measure in measures]
    tell.stage("measure", prompts)
    if not any(stays) or not is_shared(groups):
        return by_row(work, groups, tell.advance)
    theirs = by_row(work.only([not stay for stay in stays]), groups, tell.advance)
    tell.stage("measure in one process", prompts)
    ours = by_row(work.only(stays).without_points(), groups, tell.advance, here=True)
    return [own.beside(others, stays) for own, others in zip(ours, theirs, strict=True)]


def _of_arms(measures: Sequence[Measure], material: _Material, tell: Listener) -> dict[Measure, dict[str, Array]]:
    """Measure -> arm -> (P,) values, of those that are no metrics of single groups."""
    groups = material.sampled.groups
    table: dict[Measure, dict[str, Array]] = {}
    of_whole_arms = [measure for measure in measures if measure.definition.kind == "arm_metric"]
    if of_whole_arms:
        tell.stage("measure whole arms", len(of_whole_arms) * len(groups))
    for measure in of_whole_arms:
        table[measure] = {}
        for arm, of_arm in groups.items():
            table[measure][arm] = np.asarray(measure(of_arm), dtype=np.float64)
            tell.advance(1)
    pooled = [measure for measure in measures if measure.variant == "pooled"]
    if pooled:
        tell.stage("measure across prompts", number_of_pools(material.first))
        table |= pooled_values(pooled, material.first, tell.advance)
    for measure in measures:
        if measure not in table:
            scores = material.scores[str(measure)]
            table[measure] = {arm: mean_scores(of_arm) for arm, of_arm in scores.items()}
    return table


def _errors(measure: Measure, rows: Sequence[PromptValues], material: _Material) -> dict[str, Array]:
    """Arm -> (P,) standard errors over completions, where these are independent and the errors are known."""
    name = str(measure)
    arms = [arm for arm in _independent(material.sampled.arms) if arm in material.sampled.groups]
    if name in material.scores:
        return {arm: score_errors(material.scores[name][arm]) for arm in arms}
    known = [row.errors[name] for row in rows if name in row.errors]
    return {arm: _column(arm, known) for arm in arms} if known else {}


def _independent(arms: Sequence[Arm]) -> list[str]:
    return [arm.name for arm in arms if arm.is_independent]


def _measured(
    measure: Measure,
    values: Mapping[str, Array],
    material: _Material,
    lengths: Sequence[Sequence[int]],
    encoder: Encoder,
) -> Measured:
    sampled, definition = material.sampled, measure.definition
    also, tokenizer = _essentials(measure, material, lengths), words_of(sampled.groups)
    signature = measure.signature(sampled.samples, encoder.identity, sampled.baseline, also, tokenizer)
    bounds = bounds_of(definition.traits, sampled.samples)
    return Measured(str(measure), signature, definition.better, values, sampled.samples, definition.traits, bounds)


def _essentials(measure: Measure, material: _Material, lengths: Sequence[Sequence[int]]) -> Iterable[str]:
    """What else a number depends on, for its signature."""
    quality = material.quality
    if quality is not None and (measure.variant == "useful" or "quality" in measure.definition.needs):
        yield f"quality:{quality.essentials}"
    if measure.variant == "useful" and material.bar is not None:
        yield f"bar:{material.bar.at_least:.6g}"
        yield f"subsets:{SUBSETS}"
    if measure.variant == "matched":
        yield f"lengths:{lengths_hash(lengths, material.matched.openings.values())}"
    if "other_prompt_logprobs" in measure.definition.needs:
        prompts = [group.prompt for group in next(iter(material.sampled.groups.values()))]
        yield f"against:{design_hash(prompts, others_asked(measure.params))}"
    if measure.variant == "pooled":
        yield from essentials(measure, material.first)
    if "voices" in measure.definition.needs:
        yield f"voices:{_voice_classifier(material.sampled.groups)}"
    division = division_of(measure.definition, measure.params)
    if division is not None and division.source == GIVEN:
        yield f"classes:{_divided_by(material.sampled.groups)}"


def _divided_by(groups: Groups) -> str:
    """Which tool says what completions say the same."""
    first = (of_arm[0] for of_arm in groups.values() if of_arm)
    return next((group.given.by for group in first if group.given is not None), "")


def _voice_classifier(groups: Groups) -> str:
    """Which classifier predicted the voices; empty where none was asked for."""
    first = (of_arm[0] for of_arm in groups.values() if of_arm)
    return next((group.voices.classifier for group in first if group.voices is not None), "")
