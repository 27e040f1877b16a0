"""Per-prompt values become estimates and differences; a summary becomes summary.json and comes back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evalkit.analysis.clusters import sized
from evalkit.analysis.intervals import FEW, Bounds, holm, mean_intervals, mean_p_values, units
from evalkit.metrics.declaration import VARIANTS, Traits
from evalkit.metrics.decoding import Decoding
from evalkit.metrics.registry import label, split_variant
from evalkit.metrics.summary import (
    Alarm,
    Bar,
    Crossover,
    Curve,
    Difference,
    Estimate,
    Homogeneity,
    LossSplit,
    Reading,
    Summary,
)
from evalkit.plumbing.arrays import Array, finite_or_none, nan_for_none
from evalkit.records import CONFIDENCE, Arm, Better

CEILING, CEILING_TIMES = 0.97, 4
"""Share of k above which a count of up to k says no more, and how many times k would."""


@dataclass(frozen=True)
class AskedSuite:
    """What was asked, as a summary tells it: the suite's name, and of each of its P prompts what the rest goes by."""

    name: str
    prompts: Sequence[str]
    """(P,) ids."""
    clusters: Sequence[str] = ()
    """(P,) where prompts belong together: a cluster is then the unit of resampling. Empty: each prompt is its own."""
    hashes: Sequence[str] = ()
    """(P,) hashes of what each asks (`runs.asked.hashes_of`); empty where that is not known."""


@dataclass(frozen=True)
class Measured:
    """One measure's values: for each arm that it was taken on one float a prompt, NaN where undefined."""

    measure: str
    signature: str
    better: Better
    values: Mapping[str, Array]
    """Arm -> (P,)."""
    samples: int
    """Completions a prompt, k."""
    traits: Traits = field(default_factory=Traits)
    bounds: Bounds | None = None
    """The lowest and the highest value that there can be on a prompt, where that is known."""
    errors: Mapping[str, Array] = field(default_factory=dict)
    """Arm -> (P,) standard error of each value over the prompt's completions; without an arm where it is not known."""


@dataclass(frozen=True)
class FairComparison:
    """What arms have at equal quality and at equal k, besides one number a prompt."""

    bar: Bar | None = None
    curves: tuple[Curve, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    readings: tuple[Reading, ...] = ()
    homogeneity: Homogeneity | None = None
    decoding: Decoding | None = None
    splits: tuple[LossSplit, ...] = ()


def summarise(
    suite: AskedSuite,
    arms: Sequence[Arm],
    measured: Sequence[Measured],
    alarms: Sequence[Alarm],
    comparison: FairComparison | None = None,
) -> Summary:
    """Means with intervals, paired differences to each arm's baseline, Holm over those of each variant.

    The verdict is about plain measures, so these are one family. Each other variant takes the same metrics once more,
    under another question, and is a family of its own: asking it makes no answer to the first question weaker.
    """
    clusters = suite.clusters
    estimates = [estimate for values in measured for estimate in estimate_arms(values, arms, clusters)]
    differences = [difference for values in measured for difference in compare_arms(values, arms, clusters)]
    fair = comparison or FairComparison()
    return Summary(
        suite=suite.name,
        prompts=tuple(suite.prompts),
        arms=tuple(arms),
        estimates=tuple(estimates),
        differences=tuple(corrected(differences)),
        alarms=(*alarms, *few_prompts(len(suite.prompts), clusters), *at_the_ceiling(estimates)),
        bar=fair.bar,
        curves=fair.curves,
        crossovers=fair.crossovers,
        readings=fair.readings,
        clusters=tuple(clusters),
        asked=tuple(suite.hashes),
        homogeneity=fair.homogeneity,
        decoding=fair.decoding,
        splits=fair.splits,
    )


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's adjusted p-values: each variant is a family."""
    families = np.array([split_variant(difference.metric)[0] for difference in differences])
    p_values = nan_for_none(d.p for d in differences)
    adjusted = np.full(len(differences), np.nan)
    for family in VARIANTS:
        adjusted[families == family] = holm(p_values[families == family])
    return [dataclasses.replace(d, p_adjusted=finite_or_none(p)) for d, p in zip(differences, adjusted, strict=True)]


def few_prompts(prompts: int, clusters: Sequence[str] = ()) -> list[Alarm]:
    """What must be said of so few prompts."""
    if units(clusters, prompts) >= FEW:
        return []
    more = f"ask {FEW} {'clusters ' if clusters else ''}or more"
    if units(clusters, prompts) == 1:
        one = "one cluster of prompts" if clusters else "one prompt"
        message = f"only {one}: there is no interval, and no difference can be told from chance; {more}"
    else:
        message = (
            f"only {sized(prompts, clusters)}: how skewed values are is known roughly, so that intervals may miss the "
            f"mean more often than they say, and few differences can be told from chance; {more}"
        )
    return [Alarm("all arms", "few prompts", message)]


def at_the_ceiling(estimates: Sequence[Estimate]) -> list[Alarm]:
    """What must be said of measures that count up to k, where some arm's answers are all different or nearly so."""
    alarms = []
    for estimate in estimates:
        if split_variant(estimate.metric)[0] == "whole" and is_at_ceiling(estimate):
            k = estimate.samples
            message = (
                f"{label(estimate.metric)} is {estimate.value:.3g} of at most {k}: hardly two completions are alike, "
                f"and what is more various cannot be told; draw {CEILING_TIMES * k} or more a prompt (--samples)"
            )
            alarms.append(Alarm(estimate.arm, "ceiling", message))
    return alarms


def is_at_ceiling(estimate: Estimate) -> bool:
    """Whether it is within CEILING of the largest value that so many completions allow, if anything bounds it."""
    return (
        estimate.traits.bounds[1] == "k"
        and estimate.value is not None
        and estimate.samples > 1
        and estimate.value >= CEILING * estimate.samples
    )


def bounds_of(traits: Traits, samples: int) -> Bounds | None:
    """Between what the measure's values lie on so many completions; None where nothing bounds them."""
    lowest, highest = traits.bounds
    if lowest is None and highest is None:
        return None
    most = float(samples) if highest == "k" else math.inf if highest is None else highest
    return (-math.inf if lowest is None else lowest, most)


def remeasured(estimate: Estimate, values: Mapping[str, Array]) -> Measured:
    """Other values of the measure that an estimate is of, taken in the same way."""
    return Measured(
        estimate.metric,
        estimate.signature,
        estimate.better,
        values,
        estimate.samples,
        estimate.traits,
        bounds_of(estimate.traits, estimate.samples),
    )


def estimate_arms(measured: Measured, arms: Sequence[Arm], clusters: Sequence[str] = ()) -> list[Estimate]:
    """The mean over prompts with its interval, for each of the arms that has values."""
    arms = [arm for arm in arms if arm.name in measured.values]
    if not arms:
        return []
    rows = np.stack([measured.values[arm.name] for arm in arms])
    means = mean_intervals(rows, CONFIDENCE, clusters, measured.bounds)
    return [
        Estimate(
            metric=measured.measure,
            signature=measured.signature,
            arm=arm.name,
            value=finite_or_none(mean.value),
            low=finite_or_none(mean.low),
            high=finite_or_none(mean.high),
            confidence=CONFIDENCE,
            prompts=mean.count,
            samples=measured.samples,
            better=measured.better,
            values=tuple(finite_or_none(value) for value in measured.values[arm.name]),
            traits=measured.traits,
            errors=tuple(finite_or_none(error) for error in measured.errors.get(arm.name, ())),
        )
        for arm, mean in zip(arms, means, strict=True)
    ]


def compare_arms(measured: Measured, arms: Sequence[Arm], clusters: Sequence[str] = ()) -> list[Difference]:
    """The paired difference to its baseline, for each of the arms that has values as its baseline has; p as it is."""
    values = measured.values
    candidates = [(arm.name, arm.baseline) for arm in arms if arm.name in values]
    pairs = [(arm, baseline) for arm, baseline in candidates if baseline is not None and baseline in values]
    if not pairs:
        return []
    gaps = np.stack([values[arm] - values[baseline] for arm, baseline in pairs])
    bounds = bounds_of_differences(measured.bounds)
    means, p_values = mean_intervals(gaps, CONFIDENCE, clusters, bounds), mean_p_values(gaps, clusters, bounds)
    return [
        Difference(
            metric=measured.measure,
            signature=measured.signature,
            arm=arm,
            baseline=baseline,
            value=finite_or_none(mean.value),
            low=finite_or_none(mean.low),
            high=finite_or_none(mean.high),
            p=finite_or_none(p),
            p_adjusted=None,
        )
        for (arm, baseline), mean, p in zip(pairs, means, p_values, strict=True)
    ]


def bounds_of_differences(bounds: Bounds | None) -> Bounds | None:
    """Between what the differences of two values within `bounds` lie."""
    return None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
