"""Several finished runs of the same prompts become one report: differences made anew, against the first run's baseline.

An arm is called RUN/ARM. Values are paired by prompt on the prompts that all runs asked in the same words; two arms are
compared on a metric exactly when it has the same signature in both. An arm that a later run has from the very same
completions (the base that both runs found in the cache) stands there once. What cannot be made anew from one number a
prompt (curves over k, sweeps read at equal quality) is each run's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.analysis.clusters import shared_clusters
from evalkit.analysis.estimates import Measured, compare_arms, corrected, estimate_arms, few_prompts, remeasured
from evalkit.analysis.figure_data import FigureData, Meanings
from evalkit.errors import Incomparable
from evalkit.metrics.registry import is_by_prompt
from evalkit.plumbing.arrays import JSON, Array, nan_for_none
from evalkit.plumbing.prose import counted, listed
from evalkit.records import (
    Alarm,
    Arm,
    Bar,
    Crossover,
    Curve,
    Difference,
    Estimate,
    Group,
    Prompt,
    Reading,
    Summary,
)
from evalkit.report.content.content import ReportContent, RunOrigin, Scores
from evalkit.report.content.incomparable import named_together, unlike
from evalkit.report.content.merge_map import merged_map
from evalkit.runs.manifest import short_names


@dataclass(frozen=True)
class _Run:
    """One of the runs, as it goes into the whole."""

    name: str
    content: ReportContent
    names: Mapping[str, str]
    """Its arms -> what they are called in the whole."""
    once: frozenset[str]
    """Its arms that an earlier run has too."""
    is_whole: bool
    """Whether all that it asked is in the whole."""

    @property
    def summary(self) -> Summary:
        return self.content.summary

    @property
    def checkpoints(self) -> dict[str, str]:
        """Its checkpoints -> what they are called in the whole."""
        return {arm.checkpoint: _checkpoint(self.names[arm.name], arm) for arm in self.summary.arms}


def merge(folders: Sequence[Path], contents: Sequence[ReportContent]) -> ReportContent:
    """The report of several runs, the first being what the others are compared with.

    Raises `Incomparable` where they share no prompt, `RecordsError` where a run is given twice.
    """
    names = short_names(folders)
    shared = _shared(names, contents)
    runs = _runs(names, contents, shared)
    arms = [arm for run in runs for arm in _arms(run, runs[0])]
    clusters = shared_clusters(shared, names, [content.summary for content in contents])
    estimates, differences = _numbers(runs, arms, shared, clusters)
    whole = [run for run in runs if run.is_whole]
    groups = {run.names[arm]: _asked(own, shared) for run, arm, own in _members(runs)}
    drawn, undrawn = merged_map(names, contents, groups)
    summary = Summary(
        suite=listed(dict.fromkeys(run.summary.suite for run in runs)),
        prompts=tuple(shared),
        arms=tuple(arms),
        estimates=tuple(estimates),
        differences=tuple(differences),
        alarms=(*_alarms(runs), *few_prompts(len(shared), clusters)),
        bar=_bar(runs),
        curves=tuple(_curves(whole)),
        crossovers=tuple(_crossovers(whole)),
        readings=tuple(_readings(whole)),
        clusters=clusters,
    )
    return ReportContent(
        title=f"{summary.suite}: {listed(names)}",
        summary=summary,
        groups=groups,
        rendered={
            run.names[arm]: prompts for run in runs for arm, prompts in run.content.rendered.items() if arm in run.names
        },
        scores=_scores(runs, shared),
        provenance=_agreement(whole),
        metrics={name: text for run in reversed(runs) for name, text in run.content.metrics.items()},
        evidence=replace(_evidence(runs, whole, shared), completion_map=drawn),
        runs=[
            RunOrigin(run.name, str(folder), len(run.summary.prompts), run.content.provenance)
            for run, folder in zip(runs, folders, strict=True)
        ],
        notes=[*_once(runs), *_left_out(runs, shared), *unlike(estimates, arms), *undrawn],
    )


def _evidence(runs: Sequence[_Run], whole: Sequence[_Run], shared: Sequence[str]) -> FigureData:
    """All but the map of completions."""
    return FigureData(
        shapes=tuple(
            replace(shape, arm=run.names[shape.arm])
            for run in whole
            for shape in run.content.evidence.shapes
            if shape.arm not in run.once
        ),
        choices=tuple(
            replace(shares, arm=run.names[shares.arm])
            for run in runs
            for shares in run.content.evidence.choices
            if shares.arm not in run.once and shares.prompt in shared
        ),
        trainings=tuple(
            {
                training.checkpoint: training
                for run in runs
                for own in run.content.evidence.trainings
                for training in [replace(own, checkpoint=run.checkpoints[own.checkpoint])]
            }.values()
        ),
        meanings=_meanings(runs),
    )


def _meanings(runs: Sequence[_Run]) -> Meanings | None:
    """Which completions say the same, where all runs went by one notion of it."""
    found = [run.content.evidence.meanings for run in runs]
    first = found[0]
    if first is None or any(
        own is None or (own.measure, own.threshold) != (first.measure, first.threshold) for own in found
    ):
        return None
    classes = {
        run.names[arm]: by_prompt
        for run, own in zip(runs, found, strict=True)
        if own is not None
        for arm, by_prompt in own.classes.items()
    }
    return replace(first, classes=classes)


def _shared(names: Sequence[str], contents: Sequence[ReportContent]) -> list[str]:
    """Ids of the prompts that all runs asked alike, in the first run's order; clusters are no part of what is asked."""
    asked = [_prompts(content) for content in contents]
    shared = [
        prompt for prompt in contents[0].summary.prompts if all(own.get(prompt) == asked[0][prompt] for own in asked)
    ]
    if not shared:
        raise Incomparable(
            f"prompts: {listed(names)} share none (the same id, text, answer, references and choices); "
            "nothing can be paired: make a report of each"
        )
    return shared


def _prompts(content: ReportContent) -> dict[str, Prompt]:
    own = next(iter(content.groups.values()), ())
    return {group.prompt.id: replace(group.prompt, cluster=None) for group in own}


def _runs(names: Sequence[str], contents: Sequence[ReportContent], shared: Sequence[str]) -> list[_Run]:
    runs: list[_Run] = []
    for name, content in zip(names, contents, strict=True):
        twins = {arm.name: _twin(arm, content, runs) for arm in content.summary.arms}
        called = {arm: twin or f"{name}/{arm}" for arm, twin in twins.items()}
        once = frozenset(arm for arm, twin in twins.items() if twin is not None)
        runs.append(_Run(name, content, called, once, len(content.summary.prompts) == len(shared)))
    return runs


def _twin(arm: Arm, content: ReportContent, earlier: Sequence[_Run]) -> str | None:
    """What an earlier run's arm is called that has the same weights, settings and completions."""
    for run in earlier:
        for other in run.summary.arms:
            alike = (other.sampling, other.best_of, other.kind) == (arm.sampling, arm.best_of, arm.kind)
            weights = _weights(content, arm)
            if alike and weights is not None and weights == _weights(run.content, other):
                mine, theirs = content.groups[arm.name], run.content.groups[other.name]
                if [group.completions for group in mine] == [group.completions for group in theirs]:
                    return run.names[other.name]
    return None


def _weights(content: ReportContent, arm: Arm) -> JSON:
    """The fingerprint of its checkpoint, if the manifest tells it."""
    found: JSON = content.provenance
    for key in ("identity", "checkpoints", arm.checkpoint, "fingerprint"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _checkpoint(called: str, arm: Arm) -> str:
    """RUN/CHECKPOINT of an arm that is called RUN/ARM."""
    return called.removesuffix(arm.name) + arm.checkpoint


def _arms(run: _Run, first: _Run) -> list[Arm]:
    return [
        replace(
            arm,
            name=run.names[arm.name],
            checkpoint=_checkpoint(run.names[arm.name], arm),
            baseline=_baseline(arm, run, first),
        )
        for arm in run.summary.arms
        if arm.name not in run.once
    ]


def _baseline(arm: Arm, run: _Run, first: _Run) -> str | None:
    """In the first run the arm's own; else the first run's counterpart of it, or of the arm itself in a baseline."""
    if run is first:
        return None if arm.baseline is None else run.names[arm.baseline]
    homes = {other.checkpoint for other in run.summary.arms if other.baseline is None}
    wanted = arm.name if arm.checkpoint in homes else arm.baseline
    theirs = {other.checkpoint for other in first.summary.arms if other.baseline is None}
    offered = [other.name for other in first.summary.arms if other.checkpoint in theirs]
    return first.names[wanted if wanted in offered else offered[0]] if offered else None


def _numbers(
    runs: Sequence[_Run], arms: Sequence[Arm], shared: Sequence[str], clusters: Sequence[str]
) -> tuple[list[Estimate], list[Difference]]:
    """Estimates and differences made anew: a metric is one measurement where signature and completions are the same."""
    measured: dict[tuple[str, str, int], Measured] = {}
    taken: set[tuple[str, str]] = set()
    for run in runs:
        places = _places(run.summary.prompts, shared)
        for estimate in run.summary.estimates:
            arm = run.names[estimate.arm]
            if (estimate.metric, arm) in taken or not (run.is_whole or is_by_prompt(estimate.metric)):
                continue
            taken.add((estimate.metric, arm))
            key = estimate.metric, estimate.signature, estimate.samples
            known = measured.get(key) or remeasured(estimate, {})
            measured[key] = replace(known, values={**known.values, arm: _values(estimate, places)})
    ordered = sorted(measured.items(), key=lambda item: list(dict.fromkeys(m for m, *_ in measured)).index(item[0][0]))
    estimates = [estimate for _, one in ordered for estimate in estimate_arms(one, arms, clusters)]
    differences = [difference for _, one in ordered for difference in compare_arms(one, arms, clusters)]
    return estimates, corrected(differences)


def _places(prompts: Sequence[str], shared: Sequence[str]) -> list[int]:
    place = {prompt: index for index, prompt in enumerate(prompts)}
    return [place[prompt] for prompt in shared]


def _values(estimate: Estimate, places: Sequence[int]) -> Array:
    return nan_for_none(estimate.values[place] for place in places)


def _alarms(runs: Sequence[_Run]) -> list[Alarm]:
    """What the runs warn of; how few prompts there are is said of the whole."""
    alarms = [
        replace(alarm, arm=run.names.get(alarm.arm, f"{run.name}: {alarm.arm}"))
        for run in runs
        for alarm in run.summary.alarms
        if alarm.kind != "few prompts"
    ]
    return list(dict.fromkeys(alarms))


def _bar(runs: Sequence[_Run]) -> Bar | None:
    """That of all runs, where they have the same, and all of their prompts are here."""
    bars = [(run, run.summary.bar if run.is_whole else None) for run in runs]
    first = bars[0][1]
    if first is None or any(
        bar is None or (bar.measure, bar.at_least) != (first.measure, first.at_least) for _, bar in bars
    ):
        return None
    passing = {run.names[arm]: share for run, bar in bars if bar for arm, share in bar.passing.items()}
    return replace(first, passing=passing)


def _curves(runs: Sequence[_Run]) -> list[Curve]:
    """Those of a kind that are measured as the first, at the k that all of them have."""
    every = [
        replace(curve, arm=run.names[curve.arm])
        for run in runs
        for curve in run.summary.curves
        if curve.arm not in run.once
    ]
    kinds: dict[tuple[str, str], list[Curve]] = {}
    for curve in every:
        own = kinds.setdefault((curve.name, curve.measure), [])
        if not own or own[0].signature == curve.signature:
            own.append(curve)
    return [cut for own in kinds.values() for cut in _cut(own)]


def _cut(own: Sequence[Curve]) -> Iterable[Curve]:
    ks = [k for k in own[0].ks if all(k in curve.ks for curve in own)]
    for curve in own:
        kept = [curve.ks.index(k) for k in ks]
        values, lows, highs = (tuple(row[i] for i in kept) for row in (curve.values, curve.lows, curve.highs))
        yield replace(curve, ks=tuple(ks), values=values, lows=lows, highs=highs)


def _crossovers(runs: Sequence[_Run]) -> list[Crossover]:
    found = [
        replace(one, arm=run.names[one.arm], baseline=run.names[one.baseline])
        for run in runs
        for one in run.summary.crossovers
    ]
    return list({(one.name, one.measure, one.arm, one.baseline): one for one in reversed(found)}.values())[::-1]


def _readings(runs: Sequence[_Run]) -> list[Reading]:
    found = [
        replace(one, checkpoint=run.checkpoints[one.checkpoint], baseline=run.checkpoints[one.baseline])
        for run in runs
        for one in run.summary.readings
    ]
    return list(dict.fromkeys(found))


def _members(runs: Sequence[_Run]) -> Iterable[tuple[_Run, str, Sequence[Group]]]:
    """(run, its arm, its completions), what stands there once named once."""
    for run in runs:
        for arm, own in run.content.groups.items():
            if arm in run.names and arm not in run.once:
                yield run, arm, own


def _asked(own: Sequence[Group], shared: Sequence[str]) -> list[Group]:
    by_id = {group.prompt.id: group for group in own}
    return [by_id[prompt] for prompt in shared]


def _scores(runs: Sequence[_Run], shared: Sequence[str]) -> Scores:
    merged: dict[str, dict[str, Sequence[Sequence[float | None]]]] = {}
    for run in runs:
        for score, by_arm in run.content.scores.items():
            for arm, rows in by_arm.items():
                places = _places([group.prompt.id for group in run.content.groups[arm]], shared)
                merged.setdefault(score, {}).setdefault(run.names[arm], [rows[place] for place in places])
    return merged


def _agreement(runs: Sequence[_Run]) -> dict[str, JSON]:
    """How the scores agree, where a run says it."""
    told = [(run, run.content.provenance.get("agreement")) for run in runs]
    rows: list[JSON] = [
        {**row, "arm": run.names[str(row["arm"])]}
        for run, own in told
        for row in (own if isinstance(own, Sequence) else ())
        if isinstance(row, Mapping) and row.get("arm") in run.names and row.get("arm") not in run.once
    ]
    return {"agreement": rows} if rows else {}


def _once(runs: Sequence[_Run]) -> list[str]:
    twins = {run.name: [arm.name for arm in run.summary.arms if arm.name in run.once] for run in runs}
    return [
        f"{listed(twins[run.name])} of {run.name} has the very completions of "
        f"{listed(run.names[arm] for arm in twins[run.name])}, from the same weights, and stands here once."
        for run in runs
        if twins[run.name]
    ]


def _left_out(runs: Sequence[_Run], shared: Sequence[str]) -> list[str]:
    """Prompts that not all runs asked alike, and what cannot be said without them."""
    parts = [run for run in runs if not run.is_whole]
    if not parts:
        return []
    more = [f"{len(run.summary.prompts) - len(shared)} of {run.name}" for run in parts]
    gone = dict.fromkeys(e.metric for run in parts for e in run.summary.estimates if not is_by_prompt(e.metric))
    notes = [
        f"All numbers are of the {counted(len(shared), 'prompt')} that all runs asked in the same words; left out: "
        f"{listed(more)}."
    ]
    if gone:
        names = listed([run.name for run in parts])
        notes.append(
            f"Left out too, because they are of all the prompts of a run at once: {named_together(gone)} of {names}."
        )
    if any(run.summary.curves or run.summary.readings for run in parts):
        notes.append(
            f"So are the curves over k and the sweeps of {listed([run.name for run in parts])}; each run's own report "
            "has all of it."
        )
    return notes
