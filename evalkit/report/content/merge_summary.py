"""The summary of several runs: estimates and differences made anew on shared prompts, the rest as each run has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evalkit.analysis import loss_split
from evalkit.analysis.clusters import shared_clusters
from evalkit.analysis.estimates import Measured, compare_arms, corrected, estimate_arms, few_prompts, remeasured
from evalkit.metrics.registry import is_by_prompt
from evalkit.metrics.summary import Alarm, Bar, Crossover, Curve, Difference, Estimate, LossSplit, Reading, Summary
from evalkit.plumbing.arrays import Array, nan_for_none
from evalkit.plumbing.prose import listed
from evalkit.records import Arm
from evalkit.report.content.merge_runs import MergedRun, merged_arms


def merged_summary(runs: Sequence[MergedRun], shared: Sequence[str]) -> Summary:
    """All arms of the runs on the prompts `shared`; what is of all prompts of a run at once only from complete runs."""
    arms = merged_arms(runs)
    clusters = shared_clusters(shared, [run.name for run in runs], [run.summary for run in runs])
    measured = _measured(runs, shared)
    complete = [run for run in runs if run.is_complete]
    return Summary(
        suite=listed(dict.fromkeys(run.summary.suite for run in runs)),
        prompts=tuple(shared),
        arms=tuple(arms),
        estimates=tuple(_estimates(measured, arms, clusters)),
        differences=tuple(_differences(measured, arms, clusters)),
        alarms=(*_alarms(runs), *few_prompts(len(shared), clusters)),
        bar=_bar(runs),
        curves=tuple(_curves(complete)),
        crossovers=tuple(_crossovers(complete)),
        readings=tuple(_readings(complete)),
        clusters=clusters,
        splits=tuple(_splits(complete, arms)),
    )


def positions(prompts: Sequence[str], shared: Sequence[str]) -> list[int]:
    """Where the shared prompts stand among all of a run's."""
    position = {prompt: index for index, prompt in enumerate(prompts)}
    return [position[prompt] for prompt in shared]


def _measured(runs: Sequence[MergedRun], shared: Sequence[str]) -> list[Measured]:
    """Every metric with its values of all arms; measurements of one metric beside each other.

    A metric is one measurement where signature and number of completions are the same.
    """
    measured: dict[tuple[str, str, int], Measured] = {}
    for run, estimate in _merged_estimates(runs):
        key = estimate.metric, estimate.signature, estimate.samples
        known = measured.get(key) or remeasured(estimate, {})
        kept = positions(run.summary.prompts, shared)
        values = _values(estimate, kept)
        errors = {run.names[estimate.arm]: _errors(estimate, kept)} if estimate.errors else {}
        measured[key] = replace(
            known, values={**known.values, run.names[estimate.arm]: values}, errors={**known.errors, **errors}
        )
    order = list(dict.fromkeys(metric for metric, *_ in measured))
    return [measured[key] for key in sorted(measured, key=lambda key: order.index(key[0]))]


def _merged_estimates(runs: Sequence[MergedRun]) -> Iterable[tuple[MergedRun, Estimate]]:
    """Every metric of every arm once, from the first run that has it."""
    taken: set[tuple[str, str]] = set()
    for run in runs:
        for estimate in run.summary.estimates:
            key = estimate.metric, run.names[estimate.arm]
            if key not in taken and (run.is_complete or is_by_prompt(estimate.metric)):
                taken.add(key)
                yield run, estimate


def _values(estimate: Estimate, kept: Sequence[int]) -> Array:
    return nan_for_none(estimate.values[index] for index in kept)


def _errors(estimate: Estimate, kept: Sequence[int]) -> Array:
    return nan_for_none(estimate.errors[index] for index in kept)


def _estimates(measured: Sequence[Measured], arms: Sequence[Arm], clusters: Sequence[str]) -> list[Estimate]:
    return [estimate for metric in measured for estimate in estimate_arms(metric, arms, clusters)]


def _differences(measured: Sequence[Measured], arms: Sequence[Arm], clusters: Sequence[str]) -> list[Difference]:
    return corrected([difference for metric in measured for difference in compare_arms(metric, arms, clusters)])


def _alarms(runs: Sequence[MergedRun]) -> list[Alarm]:
    """What the runs warn of; how few prompts there are is said of all runs together."""
    alarms = [
        replace(alarm, arm=run.names.get(alarm.arm, f"{run.name}: {alarm.arm}"))
        for run in runs
        for alarm in run.summary.alarms
        if alarm.kind != "few prompts"
    ]
    return list(dict.fromkeys(alarms))


def _bar(runs: Sequence[MergedRun]) -> Bar | None:
    """That of all runs, where they have the same, and all of their prompts are here."""
    bars = [(run, run.summary.bar if run.is_complete else None) for run in runs]
    first = bars[0][1]
    if first is None or any(
        bar is None or (bar.measure, bar.at_least) != (first.measure, first.at_least) for _, bar in bars
    ):
        return None
    passing = {run.names[arm]: share for run, bar in bars if bar for arm, share in bar.passing.items()}
    return replace(first, passing=passing)


def _curves(runs: Sequence[MergedRun]) -> list[Curve]:
    """Those of a kind that are measured as the first, at the k that all of them have."""
    kinds: dict[tuple[str, str], list[Curve]] = {}
    for run in runs:
        for curve in run.summary.curves:
            same_kind = kinds.setdefault((curve.name, curve.measure), [])
            if run.adds(curve.arm) and (not same_kind or same_kind[0].signature == curve.signature):
                same_kind.append(replace(curve, arm=run.names[curve.arm]))
    return [curve for same_kind in kinds.values() for curve in _at_common_k(same_kind)]


def _at_common_k(curves: Sequence[Curve]) -> Iterable[Curve]:
    for curve in curves:
        kept = [index for index, k in enumerate(curve.ks) if all(k in other.ks for other in curves)]
        ks = tuple(curve.ks[index] for index in kept)
        values, lows, highs = (tuple(row[index] for index in kept) for row in (curve.values, curve.lows, curve.highs))
        yield replace(curve, ks=ks, values=values, lows=lows, highs=highs)


def _crossovers(runs: Sequence[MergedRun]) -> list[Crossover]:
    """Of every curve and pair of arms the first run's."""
    crossovers: dict[tuple[str, str, str, str], Crossover] = {}
    for run in runs:
        for crossover in run.summary.crossovers:
            arm, baseline = run.names[crossover.arm], run.names[crossover.baseline]
            key = crossover.name, crossover.measure, arm, baseline
            crossovers.setdefault(key, replace(crossover, arm=arm, baseline=baseline))
    return list(crossovers.values())


def _splits(runs: Sequence[MergedRun], arms: Sequence[Arm]) -> list[LossSplit]:
    """Each run's own, of arms that are held against the same baseline here as there; corrected for all together."""
    pairs = {(arm.name, arm.baseline) for arm in arms}
    renamed = [
        replace(split, arm=run.names[split.arm], baseline=run.names[split.baseline])
        for run in runs
        for split in run.summary.splits
        if run.adds(split.arm)
    ]
    return loss_split.corrected([split for split in renamed if (split.arm, split.baseline) in pairs])


def _readings(runs: Sequence[MergedRun]) -> list[Reading]:
    readings = [
        replace(
            reading,
            checkpoint=run.checkpoints[reading.checkpoint],
            baseline=run.checkpoints[reading.baseline],
        )
        for run in runs
        for reading in run.summary.readings
    ]
    return list(dict.fromkeys(readings))
