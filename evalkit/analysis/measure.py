"""Measures meet completions: embeddings and scores are made once, then every metric in every variant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.analysis.comparison.cross_prompt import cross_prompt_values, essentials
from evalkit.analysis.comparison.length_matched import are_cut, lengths_differ, lengths_hash, match_lengths
from evalkit.analysis.comparison.quality_filtered import SUBSETS, quality_filtered_values, set_bar
from evalkit.analysis.completion_scores import Scores, mean_scores, score_arms
from evalkit.analysis.estimates import Measured, bounds_of
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.analysis.thoughts import with_thoughts
from evalkit.analysis.undefined import undefined_values, unread_texts, untold_logprobs
from evalkit.metrics.declaration import Need
from evalkit.metrics.embeddings.attach import embed_groups
from evalkit.metrics.embeddings.encoder import EMBEDDED, Encoder
from evalkit.metrics.registry import Measure, in_variant
from evalkit.metrics.summary import Alarm, Bar
from evalkit.metrics.text_sets import words_of
from evalkit.plumbing.arrays import Array
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

    @property
    def groups(self) -> Groups:
        return self.sampled.groups


@dataclass(frozen=True)
class _LengthMatched:
    """The completions cut to equal lengths; empty where no measure asks for that."""

    groups: Groups
    embedded: Groups
    """The same with the embeddings of the cut texts; empty where no measure needs those."""
    hash: str
    """Of the lengths that all were cut to."""


@dataclass(frozen=True)
class _Material:
    """What measures are computed on."""

    sampled: SampledArms
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
    load a model).
    """
    wanted = with_variants(measures, sampled.groups, fairness)
    needs = _needs(measure for measure in wanted if "thinking" not in measure.definition.needs)
    sampled = replace(sampled, groups=with_thoughts(sampled.groups, wanted, encoder, tell))
    if "embeddings" in needs:
        embedded = embed_groups(sampled.groups, tell, encoder, "reference_embeddings" in needs)
        sampled = replace(sampled, groups=embedded)
    matched = _match_lengths(wanted, sampled.groups, encoder, tell)
    tell.stage("measure", len(wanted) * len(sampled.arms))
    scores = score_arms(wanted, sampled, tell)
    if fairness.quality is not None and "quality" in needs:
        sampled = replace(sampled, groups=_with_quality(sampled.groups, scores[str(fairness.quality)]))
    material = _Material(sampled, matched, scores, fairness.quality, _bar(fairness, sampled.arms, scores))
    table = _table(wanted, material, tell)
    measured = [_measured(measure, values, material, encoder) for measure, values in table.items()]
    alarms = [*unread_texts(sampled, encoder)] if "embeddings" in needs else []
    alarms += untold_logprobs(measures, sampled)
    alarms += [alarm for measure, values in table.items() for alarm in undefined_values(measure, values)]
    return Measurements(tuple(wanted), tuple(measured), sampled, scores, tuple(alarms), material.bar, encoder)


def with_variants(measures: Sequence[Measure], groups: Groups, fairness: Fairness) -> list[Measure]:
    """The measures, each metric with a better direction followed by the variants that it gets unasked.

    Quality-filtered ones where a quality is known, length-matched ones where lengths differ or answers were cut,
    cross-prompt ones over three prompts or more.
    """
    applies = {
        "useful": fairness.quality is not None,
        "matched": "matched" in fairness.variants and (lengths_differ(groups) or are_cut(groups)),
        "pooled": max(map(len, groups.values()), default=0) >= FEWEST_PROMPTS,
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


def _match_lengths(measures: Sequence[Measure], groups: Groups, encoder: Encoder, tell: Listener) -> _LengthMatched:
    on_matched = [measure for measure in measures if measure.variant == "matched"]
    if not on_matched:
        return _LengthMatched({}, {}, "")
    matched = match_lengths(groups)
    embedded = embed_groups(matched, tell, encoder, references=False) if "embeddings" in _needs(on_matched) else {}
    return _LengthMatched(matched, embedded, lengths_hash(matched, groups))


def _bar(fairness: Fairness, arms: Sequence[Arm], scores: Mapping[str, Scores]) -> Bar | None:
    if fairness.quality is None:
        return None
    baseline = next(arm.name for arm in arms if arm.baseline is None)
    return set_bar(str(fairness.quality), scores[str(fairness.quality)], baseline, fairness.bar)


def _with_quality(groups: Groups, scores: Scores) -> dict[str, list[Group]]:
    """Every group's quality, and that of the baseline's group beside it."""
    pairs = {arm: list(zip(members, scores[arm], strict=True)) for arm, members in groups.items()}
    quality_of = {group.completions: quality for of_arm in pairs.values() for group, quality in of_arm}

    def rated(group: Group, quality: Array) -> Group:
        baseline = group.baseline
        if baseline is not None:
            baseline = baseline.having(quality=quality_of[baseline.completions])
        return group.having(quality=quality, baseline=baseline)

    return {arm: [rated(group, quality) for group, quality in of_arm] for arm, of_arm in pairs.items()}


def _table(measures: Sequence[Measure], material: _Material, tell: Listener) -> dict[Measure, dict[str, Array]]:
    """Measure -> arm -> (P,) values.

    Metrics of single groups are taken group by group, so that what one has counted in a group serves the next.
    """
    arms = material.sampled.arms
    table: dict[Measure, dict[str, Array]] = {}
    metrics = [measure for measure in measures if measure.definition.kind == "metric"]
    for variant in ("whole", "matched"):
        alike = [measure for measure in metrics if measure.variant == variant]
        by_arm = {arm.name: _of_groups(alike, arm, material, tell) for arm in arms}
        table |= {measure: {arm: rows[row] for arm, rows in by_arm.items()} for row, measure in enumerate(alike)}
    filtered = [measure for measure in metrics if measure.variant == "useful"]
    if filtered:
        table |= _quality_filtered(filtered, material)
        tell.advance(len(filtered) * len(arms))
    for measure in measures:
        if measure not in table:
            table[measure] = _of_arms(measure, material)
            tell.advance(len(arms))
    return {measure: _of_independent(measure, table[measure], arms) for measure in measures}


def _of_independent(measure: Measure, values: dict[str, Array], arms: Sequence[Arm]) -> dict[str, Array]:
    """The values, undefined for arms of which the measure's estimate is none: but for one answer of every prompt."""
    if not measure.assumes_independence or measure.variant == "pooled":
        return values
    dependent = [arm.name for arm in arms if not arm.is_independent]
    return values | {arm: np.full_like(values[arm], np.nan) for arm in dependent}


def _of_groups(measures: Sequence[Measure], arm: Arm, material: _Material, tell: Listener) -> Array:
    """(measures, P)."""
    columns = [_groups_for(measure, material)[arm.name] for measure in measures]
    rows = [
        [_value(measure, arm, group) for measure, group in zip(measures, of_prompt, strict=True)]
        for of_prompt in zip(*columns, strict=True)
    ]
    tell.advance(len(measures))
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(measures)).T


def _groups_for(measure: Measure, material: _Material) -> Groups:
    if measure.variant != "matched":
        return material.sampled.groups
    matched = material.matched
    return matched.embedded if "embeddings" in measure.definition.needs else matched.groups


def _value(measure: Measure, arm: Arm, group: Group) -> float:
    undefined = not group.completions or ("logprobs" in measure.definition.needs and not arm.is_raw)
    return math.nan if undefined else float(measure(group))


def _quality_filtered(measures: Sequence[Measure], material: _Material) -> dict[Measure, dict[str, Array]]:
    bar = material.bar
    assert bar is not None, "a suite without a quality has no quality-filtered variants"
    groups, scores = material.sampled.groups, material.scores[bar.measure]
    return dict(zip(measures, quality_filtered_values(measures, groups, scores, bar.at_least), strict=True))


def _of_arms(measure: Measure, material: _Material) -> dict[str, Array]:
    """Arm -> (P,) values, of what is not a metric of single groups."""
    groups = material.sampled.groups
    if measure.definition.kind == "score":
        return {arm: mean_scores(scores) for arm, scores in material.scores[str(measure)].items()}
    if measure.definition.kind == "arm_metric":
        return {arm: np.asarray(measure(of_arm), dtype=np.float64) for arm, of_arm in groups.items()}
    return cross_prompt_values(measure, groups)


def _measured(measure: Measure, values: Mapping[str, Array], material: _Material, encoder: Encoder) -> Measured:
    sampled, definition = material.sampled, measure.definition
    also, tokenizer = _essentials(measure, material), words_of(sampled.groups)
    signature = measure.signature(sampled.samples, encoder.identity, sampled.baseline, also, tokenizer)
    bounds = bounds_of(definition.traits, sampled.samples)
    return Measured(str(measure), signature, definition.better, values, sampled.samples, definition.traits, bounds)


def _essentials(measure: Measure, material: _Material) -> Iterable[str]:
    """What else a number depends on, for its signature."""
    quality = material.quality
    if quality is not None and (measure.variant == "useful" or "quality" in measure.definition.needs):
        yield f"quality:{quality.essentials}"
    if measure.variant == "useful" and material.bar is not None:
        yield f"bar:{material.bar.at_least:.6g}"
        yield f"subsets:{SUBSETS}"
    if measure.variant == "matched":
        yield f"lengths:{material.matched.hash}"
    if measure.variant == "pooled":
        yield from essentials(measure, material.sampled.groups)
    if "voices" in measure.definition.needs:
        yield f"voices:{_voice_classifier(material.sampled.groups)}"


def _voice_classifier(groups: Groups) -> str:
    """Which classifier predicted the voices; empty where none was asked for."""
    members = (group for of_arm in groups.values() for group in of_arm)
    return next((group.voices.classifier for group in members if group.voices is not None), "")
