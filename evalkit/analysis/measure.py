"""Measures meet completions: embeddings and scores are made once, then every metric in every variant."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.comparison.cross_prompt import essentials, pooled_values
from evalkit.analysis.comparison.curves import crossovers, curves, trace
from evalkit.analysis.comparison.length_matched import are_cut, lengths_differ, lengths_hash, match_lengths
from evalkit.analysis.comparison.quality_filtered import SUBSETS, set_bar, useful_values
from evalkit.analysis.comparison.temperature_sweeps import read_sweeps
from evalkit.analysis.estimates import Compared, Measured, bounds_of
from evalkit.metrics.embeddings.attach import embed_groups
from evalkit.metrics.embeddings.encoder import EMBEDDED, Encoder, unread_share
from evalkit.metrics.registry import Measure, in_variant, label
from evalkit.metrics.text_sets import words_of
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener
from evalkit.records import Alarm, Arm, Bar, Group, Groups, Variant

UNSCORED_SHARE = 0.1
"""The share of a prompt's completions that may lack a score before the prompt's mean is undefined."""
UNREAD_SHARE = 0.1
"""From this share of letters that the encoder cannot read on, measures of meaning are spoiled."""
FEWEST_POOLED = 3
"""Prompts below which nothing can be said across prompts."""


@dataclass(frozen=True)
class Fairness:
    """What makes a comparison fair, as a suite asks for it."""

    quality: Measure | None = None
    """The score that says how good a completion is; one of the measures."""
    bar: float | None = None
    """What a useful completion reaches; None: the baseline's median."""
    variants: tuple[Variant, ...] = ()
    """Variants that every metric with a better direction gets unasked."""


@dataclass(frozen=True)
class Measurements:
    """Every measure's values a prompt, and every score a completion (measure -> arm -> one array a prompt)."""

    measures: tuple[Measure, ...]
    """All that was measured, each metric's variants behind it."""
    measured: tuple[Measured, ...]
    groups: Groups
    """What it was measured on, with the embeddings where a metric needed them."""
    scores: Mapping[str, Mapping[str, Sequence[Array]]]
    alarms: tuple[Alarm, ...]
    """Scores that could not be given to all completions."""
    bar: Bar | None
    """What useful completions reach; None where the suite names no quality."""
    encoder: Encoder
    """What embedded the groups."""


@dataclass(frozen=True)
class _Material:
    """What measures are computed on."""

    arms: Sequence[Arm]
    groups: Groups
    scores: Mapping[str, Mapping[str, Sequence[Array]]]
    bar: Bar | None
    tell: Listener
    matched: Groups
    """Cut to equal lengths; empty where no measure asks for that."""
    matched_embedded: Groups
    """The same with the embeddings of the cut texts."""

    @cached_property
    def lengths(self) -> str:
        return lengths_hash(self.matched, self.groups)


def measure_groups(
    measures: Sequence[Measure],
    arms: Sequence[Arm],
    groups: Groups,
    samples: int,
    tell: Listener,
    baseline: str = "",
    encoder: Encoder = EMBEDDED,
    fairness: Fairness | None = None,
) -> Measurements:
    """Compute all measures on all arms; `baseline` is the fingerprint of the baseline checkpoint.

    Measures of log-probs are defined for draws from the raw law only (temperature 1, nothing cut off), and undefined
    for the other arms. Raises `MetricError`, `CheckpointError`, `EngineError` (from scores that load a model).
    """
    fair = fairness or Fairness()
    asked = with_variants(measures, groups, fair)
    needs = {need for measure in asked for need in measure.definition.needs}
    if "embeddings" in needs:
        groups = embed_groups(groups, tell, encoder, "reference_embeddings" in needs)
    cut = [measure for measure in asked if measure.variant == "matched"]
    matched: Groups = match_lengths(groups) if cut else {}
    is_embedded = any("embeddings" in measure.definition.needs for measure in cut)
    matched_embedded = embed_groups(matched, tell, encoder, references=False) if is_embedded else {}
    tell.stage("measure", len(asked) * len(arms))
    scores = {
        str(measure): {arm.name: score_completions(measure, groups[arm.name], tell) for arm in arms}
        for measure in asked
        if measure.definition.kind == "score"
    }
    bar = _bar(fair, arms, scores)
    if fair.quality is not None and any("quality" in measure.definition.needs for measure in asked):
        groups = _with_quality(groups, scores[str(fair.quality)])
    material = _Material(arms, groups, scores, bar, tell, matched, matched_embedded)
    measured = []
    unscored: list[Alarm] = []
    if "embeddings" in needs:
        unscored += [alarm for arm in arms for alarm in _unread(arm, groups[arm.name], encoder)]
    for measure, values in _table(asked, material).items():
        if measure.definition.kind == "score":
            unscored += [alarm for arm in arms for alarm in _unscored(measure, arm, values[arm.name])]
        if measure.definition.kind == "arm_metric":
            unscored += [_unfigured(measure, arm) for arm in arms if np.isnan(values[arm.name]).all()]
        also = _essentials(measure, material, fair.quality)
        signature = measure.signature(samples, encoder.identity, baseline, also, words_of(groups))
        definition = measure.definition
        bounds = bounds_of(definition.traits, samples)
        measured.append(Measured(str(measure), signature, definition.better, values, definition.traits, bounds))
    return Measurements(tuple(asked), tuple(measured), groups, scores, tuple(unscored), bar, encoder)


def compared(arms: Sequence[Arm], measurements: Measurements) -> Compared:
    """Curves over k, where the baseline overtakes, and temperature sweeps read at equal quality."""
    raw = [arm.name for arm in arms if arm.is_raw]
    clusters = clusters_of([group.prompt for group in measurements.groups[arms[0].name]]) if arms else ()
    encoder = measurements.encoder.identity
    groups = measurements.groups
    traced = trace(measurements.measures, groups, measurements.scores, encoder, raw, words_of(groups))
    by_name = {one.measure: one for one in measurements.measured}
    bar = measurements.bar
    readings = read_sweeps(arms, by_name[bar.measure], _diversities(measurements), clusters) if bar else []
    drawn, crossed = curves(traced, arms, clusters), crossovers(traced, arms, clusters)
    return Compared(bar, tuple(drawn), tuple(crossed), tuple(readings))


def _diversities(measurements: Measurements) -> list[Measured]:
    """The measures of diversity itself: whole metrics with a better direction that no quality goes into."""
    pairs = zip(measurements.measures, measurements.measured, strict=True)
    return [
        measured
        for measure, measured in pairs
        if measure.variant == "whole"
        and measure.definition.kind == "metric"
        and measured.traits.side == "diversity"
        and not measure.definition.needs & {"quality", "answer"}
    ]


def with_variants(measures: Sequence[Measure], groups: Groups, fair: Fairness) -> list[Measure]:
    """The measures, each metric with a better direction followed by the variants that it gets unasked.

    Useful ones where a quality is known, matched ones where lengths differ or answers were cut, pooled ones over three
    prompts or more.
    """
    apply = {
        "useful": fair.quality is not None,
        "matched": "matched" in fair.variants and (lengths_differ(groups) or are_cut(groups)),
        "pooled": max(map(len, groups.values()), default=0) >= FEWEST_POOLED,
    }
    wanted = [variant for variant in fair.variants if apply[variant]]
    asked: dict[Measure, None] = {}
    for measure in measures:
        asked[measure] = None
        if measure.variant == "whole" and measure.definition.better != "neither":
            here = [variant for variant in wanted if variant in measure.definition.variants]
            asked.update(dict.fromkeys(in_variant(measure, variant) for variant in here))
    return list(asked)


def _bar(fair: Fairness, arms: Sequence[Arm], scores: Mapping[str, Mapping[str, Sequence[Array]]]) -> Bar | None:
    if fair.quality is None:
        return None
    home = next(arm.name for arm in arms if arm.baseline is None)
    return set_bar(str(fair.quality), scores[str(fair.quality)], home, fair.bar)


def _with_quality(groups: Groups, scores: Mapping[str, Sequence[Array]]) -> dict[str, list[Group]]:
    """Every group's quality, and that of the baseline's group beside it."""
    pairs = {arm: list(zip(members, scores[arm], strict=True)) for arm, members in groups.items()}
    known = {group.completions: own for of_arm in pairs.values() for group, own in of_arm}

    def rated(group: Group, own: Array) -> Group:
        beside = group.baseline
        if beside is not None:
            beside = beside.having(quality=known[beside.completions])
        return group.having(quality=own, baseline=beside)

    return {arm: [rated(group, own) for group, own in of_arm] for arm, of_arm in pairs.items()}


def _table(asked: Sequence[Measure], material: _Material) -> dict[Measure, dict[str, Array]]:
    """Measure -> arm -> one value a prompt.

    Metrics of single groups are taken group by group, so that what one has counted in a group serves the next.
    """
    found: dict[Measure, dict[str, Array]] = {}
    metrics = [measure for measure in asked if measure.definition.kind == "metric"]
    for variant in ("whole", "matched"):
        alike = [measure for measure in metrics if measure.variant == variant]
        by_arm = {arm.name: _of_groups(alike, arm, material) for arm in material.arms}
        found |= {measure: {arm: rows[place] for arm, rows in by_arm.items()} for place, measure in enumerate(alike)}
    useful = [measure for measure in metrics if measure.variant == "useful"]
    if useful:
        assert material.bar is not None, "a suite without a quality has no useful variants"
        scores, bar = material.scores[material.bar.measure], material.bar.at_least
        found |= dict(zip(useful, useful_values(useful, material.groups, scores, bar), strict=True))
        material.tell.advance(len(useful) * len(material.arms))
    for measure in asked:
        if measure not in found:
            found[measure] = _values(measure, material)
            material.tell.advance(len(material.arms))
    return {measure: found[measure] for measure in asked}


def _values(measure: Measure, material: _Material) -> dict[str, Array]:
    """Arm -> one value a prompt, of what is not a metric of single groups."""
    if measure.definition.kind == "score":
        return {arm: _means(arrays) for arm, arrays in material.scores[str(measure)].items()}
    if measure.definition.kind == "arm_metric":
        return {arm: np.asarray(measure(groups), dtype=np.float64) for arm, groups in material.groups.items()}
    return pooled_values(measure, material.groups)


def _of_groups(measures: Sequence[Measure], arm: Arm, material: _Material) -> Array:
    """(measures, prompts)."""
    columns = [_groups_of(measure, material)[arm.name] for measure in measures]
    rows = [
        [_metric(measure, arm, group) for measure, group in zip(measures, own, strict=True)]
        for own in zip(*columns, strict=True)
    ]
    material.tell.advance(len(measures))
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(measures)).T


def _groups_of(measure: Measure, material: _Material) -> Groups:
    if measure.variant != "matched":
        return material.groups
    return material.matched_embedded if "embeddings" in measure.definition.needs else material.matched


def _essentials(measure: Measure, material: _Material, quality: Measure | None) -> Iterable[str]:
    """What else a number depends on, for its signature."""
    if quality is not None and (measure.variant == "useful" or "quality" in measure.definition.needs):
        yield f"quality:{quality.essentials}"
    if measure.variant == "useful" and material.bar is not None:
        yield f"bar:{material.bar.at_least:.6g}"
        yield f"subsets:{SUBSETS}"
    if measure.variant == "matched":
        yield f"lengths:{material.lengths}"
    if measure.variant == "pooled":
        yield from essentials(measure, material.groups)
    if "voices" in measure.definition.needs:
        yield f"voices:{_classifier(material.groups)}"


def _classifier(groups: Groups) -> str:
    """Which classifier heard the voices; empty where none was asked for."""
    members = (group for arm in groups.values() for group in arm)
    return next((group.voices.classifier for group in members if group.voices is not None), "")


def _metric(measure: Measure, arm: Arm, group: Group) -> float:
    undefined = not group.completions or ("logprobs" in measure.definition.needs and not arm.is_raw)
    return math.nan if undefined else float(measure(group))


def score_completions(measure: Measure, groups: Sequence[Group], tell: Listener) -> list[Array]:
    """A score of every completion; kept in the cache, because a score may load a model of its own."""
    if "scores" in measure.definition.needs:
        return [np.asarray(array, dtype=np.float64) for array in measure(groups)]  # read, not made
    key = _score_key(measure, groups)
    known = recall("scores", key)
    if known is not None:
        return known
    arrays = [np.asarray(array, dtype=np.float64) for array in measure(groups)]
    remember("scores", key, arrays, tell.note)
    return arrays


def _score_key(measure: Measure, groups: Sequence[Group]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        prompt = group.prompt
        checks = prompt.checks if "checks" in measure.definition.needs else ()
        for part in (prompt.id, prompt.text, prompt.answer or "", prompt.match, *checks, *group.texts, ""):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0\0")
    signature = measure.signature(0, "", tokenizer=words_of({"": groups}))
    return key_of({"measure": signature, "groups": digest.hexdigest()})


def _means(arrays: Sequence[Array]) -> Array:
    """Mean score a prompt; undefined where more than a tenth of its completions have none: the rest would mislead."""
    return np.array([_mean(array[~np.isnan(array)], len(array)) for array in arrays], dtype=np.float64)


def _mean(scored: Array, completions: int) -> float:
    enough = len(scored) > 0 and len(scored) >= (1 - UNSCORED_SHARE) * completions
    return float(scored.mean()) if enough else float("nan")


def _unscored(measure: Measure, arm: Arm, means: Array) -> list[Alarm]:
    left_out = int(np.isnan(means).sum())
    if measure.definition.needs & {"answer", "checks"} or not left_out:
        return []
    message = (
        f"{label(str(measure))} is undefined for {left_out} of {len(means)} prompts: the model behind it cannot read "
        f"over {UNSCORED_SHARE:.0%} of their completions (too long for it, or in words that it does not know)"
    )
    return [Alarm(arm.name, "unscored", message)]


def _unread(arm: Arm, groups: Sequence[Group], encoder: Encoder) -> list[Alarm]:
    share = unread_share([text for group in groups for text in group.texts], encoder)
    if share <= UNREAD_SHARE:
        return []
    message = (
        f"{share:.0%} of the letters are of scripts that the embedded encoder has not learned: to it such texts look "
        "alike, and measures of meaning say nothing of them. Name one that reads them with `encoder:` in the suite."
    )
    return [Alarm(arm.name, "unread", message)]


def _unfigured(measure: Measure, arm: Arm) -> Alarm:
    return Alarm(
        arm.name,
        "undefined",
        f"{label(str(measure))} has no value for this arm. Undefined: {measure.definition.undefined}",
    )
