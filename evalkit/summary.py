"""Per-prompt values become estimates and differences; a summary becomes summary.json and comes back."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from evalkit.clusters import sized
from evalkit.errors import RecordsError
from evalkit.measure import VARIANTS, definitions, label, split_variant
from evalkit.records import (
    CONFIDENCE,
    SCHEMA,
    Alarm,
    Arm,
    Bar,
    Better,
    Crossover,
    Curve,
    Difference,
    Estimate,
    Reading,
    Summary,
    Traits,
)
from evalkit.stats import FEW, Array, Bounds, holm, mean_intervals, mean_p_values, units

CEILING, CEILING_TIMES = 0.97, 4
"""Share of k above which a count of up to k says no more, and how many times k would."""
READ = (1, 2, SCHEMA)
"""Schemas of summary.json that can be read; older ones lack what came later, and nothing else."""


@dataclass(frozen=True)
class Measured:
    """One measure's values: for each arm that it was taken on one float a prompt, NaN where undefined."""

    measure: str
    signature: str
    better: Better
    values: Mapping[str, Array]
    traits: Traits = field(default_factory=Traits)
    bounds: Bounds | None = None
    """The lowest and the highest value that there can be on a prompt, where that is known."""


@dataclass(frozen=True)
class Compared:
    """What is read off besides one number a prompt."""

    bar: Bar | None = None
    curves: tuple[Curve, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    readings: tuple[Reading, ...] = ()


def summarise(
    suite: str,
    prompts: Sequence[str],
    arms: Sequence[Arm],
    measured: Sequence[Measured],
    samples: int,
    alarms: Sequence[Alarm],
    compared: Compared | None = None,
    clusters: Sequence[str] = (),
    asked: Sequence[str] = (),
) -> Summary:
    """Means with intervals, paired differences to each arm's baseline, Holm over those of each variant.

    `clusters`: that of each prompt, where prompts belong together; a cluster is then the unit of chance. `asked`: a
    hash of what each prompt asks (`asked.hashes_of`).

    The verdict is about whole groups, so these are one family. Each other variant reads the same metrics once more,
    under another question, and is a family of its own: asking it makes no answer to the first question weaker.
    """
    estimates = [estimate for one in measured for estimate in estimate_arms(one, arms, samples, clusters)]
    differences = [difference for one in measured for difference in compare_arms(one, arms, clusters)]
    warned = (*alarms, *few_prompts(len(prompts), clusters), *at_the_ceiling(estimates))
    more = compared or Compared()
    return Summary(
        suite=suite,
        prompts=tuple(prompts),
        arms=tuple(arms),
        estimates=tuple(estimates),
        differences=tuple(corrected(differences)),
        alarms=warned,
        bar=more.bar,
        curves=more.curves,
        crossovers=more.crossovers,
        readings=more.readings,
        clusters=tuple(clusters),
        asked=tuple(asked),
    )


def to_json(summary: Summary) -> str:
    """The text of summary.json."""
    fields = dataclasses.asdict(summary)
    return json.dumps({"schema": fields.pop("schema"), **fields}, indent=1, ensure_ascii=False, allow_nan=False)


def read_summary(path: Path) -> Summary:
    """Read summary.json.

    Raises `RecordsError` on a file that is no summary, is of another schema, or was changed by hand.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{path} is not a summary that evalkit wrote: {error!r}") from None
    summary = parse_summary(fields, str(path))
    check_whole(summary, str(path))
    return summary


def parse_summary(fields: Any, place: str) -> Summary:
    """A summary from the fields of its JSON; `place` is where they stood. Raises `RecordsError`."""
    try:
        if fields["schema"] not in READ:
            raise RecordsError(
                f"{place} has schema {fields['schema']!r}; this evalkit reads {', '.join(map(str, READ[:-1]))} and "
                f"{READ[-1]}: upgrade evalkit, or run the suite again"
            )
        summary = TypeAdapter(Summary).validate_python(fields | {"schema": SCHEMA})
        return summary if fields["schema"] == SCHEMA else _with_traits(summary)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(step) for step in problem["loc"])
        raise RecordsError(f"{place} is not a summary that evalkit wrote: {where}: {problem['msg']}") from None
    except (KeyError, TypeError) as error:
        raise RecordsError(f"{place} is not a summary that evalkit wrote: {error!r}") from None


def _with_traits(summary: Summary) -> Summary:
    """The summary of an older evalkit, whose measures are what those of the same name are now."""
    known = definitions()

    def traits(estimate: Estimate) -> Traits:
        name = split_variant(estimate.metric)[1].split("|")[0]
        if name in known:
            return known[name].traits
        # That of a plug-in which is not here: evalkit took it for a measure of diversity then.
        return Traits("neither" if estimate.better == "neither" else "diversity", name)

    estimates = tuple(dataclasses.replace(estimate, traits=traits(estimate)) for estimate in summary.estimates)
    return dataclasses.replace(summary, estimates=estimates)


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's adjusted p-values: each variant is a family."""
    families = np.array([split_variant(difference.metric)[0] for difference in differences])
    p_values = np.array([math.nan if d.p is None else d.p for d in differences], dtype=np.float64)
    adjusted = np.full(len(differences), np.nan)
    for family in VARIANTS:
        adjusted[families == family] = holm(p_values[families == family])
    return [dataclasses.replace(d, p_adjusted=_known(p)) for d, p in zip(differences, adjusted, strict=True)]


def few_prompts(prompts: int, clusters: Sequence[str] = ()) -> list[Alarm]:
    """What must be said of so few prompts."""
    if units(clusters, prompts) >= FEW:
        return []
    asked = "one prompt" if prompts == 1 else sized(prompts, clusters)
    message = (
        f"only {asked}: how skewed values are is known roughly, so that intervals may miss the mean more often than "
        f"they say, and few differences can be told from chance; ask {FEW} {'clusters ' if clusters else ''}or more"
    )
    return [Alarm("all arms", "few prompts", message)]


def at_the_ceiling(estimates: Sequence[Estimate]) -> list[Alarm]:
    """What must be said of measures that count up to k, where some arm's answers are all different or nearly so."""
    found = []
    for estimate in estimates:
        if split_variant(estimate.metric)[0] == "whole" and is_at_ceiling(estimate):
            k = estimate.samples
            message = (
                f"{label(estimate.metric)} is {estimate.value:.3g} of at most {k}: hardly two completions are alike, "
                f"and what is more various cannot be told; draw {CEILING_TIMES * k} or more a prompt (--samples)"
            )
            found.append(Alarm(estimate.arm, "ceiling", message))
    return found


def is_at_ceiling(estimate: Estimate) -> bool:
    """Whether it is within CEILING of the largest value that so many completions allow, if anything bounds it."""
    return (
        estimate.traits.bounds[1] == "k"
        and estimate.value is not None
        and estimate.samples > 1
        and estimate.value >= CEILING * estimate.samples
    )


def check_whole(summary: Summary, place: str) -> None:
    """Refuse a summary whose numbers do not belong together: one that was changed by hand. Raises `RecordsError`."""
    if not summary.prompts or len(set(summary.prompts)) < len(summary.prompts):
        raise RecordsError(f"{place} has no prompts, or one of them twice: there is nothing to pair by")
    if len(summary.clusters) not in (0, len(summary.prompts)):
        raise RecordsError(f"{place} has {len(summary.clusters)} clusters named for {len(summary.prompts)} prompts")
    if len(summary.asked) not in (0, len(summary.prompts)):
        raise RecordsError(f"{place} says of {len(summary.asked)} of {len(summary.prompts)} prompts what they ask")
    seen: set[tuple[str, str]] = set()
    for estimate in summary.estimates:
        where = f"{place}: {estimate.metric} of arm {estimate.arm!r}"
        if (estimate.metric, estimate.arm) in seen:
            raise RecordsError(f"{where} stands there twice; run the suite again")
        seen.add((estimate.metric, estimate.arm))
        if len(estimate.values) != len(summary.prompts):
            raise RecordsError(f"{where} has {len(estimate.values)} values for {len(summary.prompts)} prompts")
        if not _is_mean(estimate):
            raise RecordsError(
                f"{where} is {estimate.value}, which is not the mean of its values: it was changed by hand"
            )


def _is_mean(estimate: Estimate) -> bool:
    values = [value for value in estimate.values if value is not None]
    if not values or estimate.value is None:
        return not values and estimate.value is None
    # A value that is no number makes the mean none either, and then nothing vouches for the rest.
    return math.isclose(sum(values) / len(values), estimate.value, rel_tol=1e-9, abs_tol=1e-9 * max(map(abs, values)))


def bounds_of(traits: Traits, samples: int) -> Bounds | None:
    """Between what the measure's values lie on so many completions; None where nothing bounds them."""
    lowest, highest = traits.bounds
    if lowest is None and highest is None:
        return None
    most = float(samples) if highest == "k" else math.inf if highest is None else highest
    return (-math.inf if lowest is None else lowest, most)


def estimate_arms(one: Measured, arms: Sequence[Arm], samples: int, clusters: Sequence[str] = ()) -> list[Estimate]:
    """The mean over prompts with its interval, for each of the arms that has values."""
    arms = [arm for arm in arms if arm.name in one.values]
    if not arms:
        return []
    means = mean_intervals(np.stack([one.values[arm.name] for arm in arms]), CONFIDENCE, clusters, one.bounds)
    return [
        Estimate(
            metric=one.measure,
            signature=one.signature,
            arm=arm.name,
            value=_known(mean.value),
            low=_known(mean.low),
            high=_known(mean.high),
            confidence=CONFIDENCE,
            prompts=mean.count,
            samples=samples,
            better=one.better,
            values=tuple(_known(value) for value in one.values[arm.name]),
            traits=one.traits,
        )
        for arm, mean in zip(arms, means, strict=True)
    ]


def compare_arms(one: Measured, arms: Sequence[Arm], clusters: Sequence[str] = ()) -> list[Difference]:
    """The paired difference to its baseline, for each of the arms that has values as its baseline has; p as it is."""
    pairs = [(arm.name, arm.baseline) for arm in arms if arm.name in one.values]
    compared = [(arm, baseline) for arm, baseline in pairs if baseline is not None and baseline in one.values]
    if not compared:
        return []
    gaps = np.stack([one.values[arm] - one.values[baseline] for arm, baseline in compared])
    bounds = None if one.bounds is None else (one.bounds[0] - one.bounds[1], one.bounds[1] - one.bounds[0])
    means, p_values = mean_intervals(gaps, CONFIDENCE, clusters, bounds), mean_p_values(gaps, clusters, bounds)
    return [
        Difference(
            metric=one.measure,
            signature=one.signature,
            arm=arm,
            baseline=baseline,
            value=_known(mean.value),
            low=_known(mean.low),
            high=_known(mean.high),
            p=_known(p),
            p_adjusted=None,
        )
        for (arm, baseline), mean, p in zip(compared, means, p_values, strict=True)
    ]


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
