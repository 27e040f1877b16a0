"""Several finished runs of the same prompts become one report: differences made anew, against the first run's baseline.

An arm is called RUN/ARM. Values are paired by prompt on the prompts that all runs asked in the same words; two arms are
compared on a metric exactly when it has the same signature in both. An arm that a later run has from the very same
completions (the base that both runs found in the cache) stands there once. What cannot be made anew from one number a
prompt (curves over k, sweeps read at equal quality) is each run's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from evalkit.analysis.where_changed import with_where_changed
from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.lazily import Lazy, Picked
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.prose import listed
from evalkit.records import Group, Groups
from evalkit.report.content.content import MetricText, ReportContent, RunOrigin, Scores
from evalkit.report.content.incomparable import unlike
from evalkit.report.content.merge_figures import merged_figures
from evalkit.report.content.merge_map import merged_meanings
from evalkit.report.content.merge_notes import left_out_notes, twin_notes
from evalkit.report.content.merge_runs import MergedRun, merged_runs, shared_prompts
from evalkit.report.content.merge_summary import merged_summary, positions
from evalkit.report.content.words import merged_words
from evalkit.report.verdicts.joint import forms_for_all
from evalkit.runs.manifest import short_names
from evalkit.runs.stored_groups import prompts_of

Item = TypeVar("Item")


def merge(folders: Sequence[Path], contents: Sequence[ReportContent], tell: Listener = QUIET) -> ReportContent:
    """The report of several runs, the first being what the others are compared with.

    Raises `Incomparable` where they share no prompt, `RecordsError` where a run is given twice.
    """
    names = short_names(folders)
    shared = shared_prompts(names, contents)
    runs = merged_runs(names, contents, shared)
    summary = merged_summary(runs, shared)
    groups = _groups(runs, shared)
    summary = with_where_changed(summary, prompts_of(next(iter(groups.values()), ())), forms_for_all(summary))
    meanings, map_notes = merged_meanings(names, contents, groups, summary, tell)
    figure_data = merged_figures(runs, shared, meanings.completion_map)
    summary, figure_data = merged_words(contents, summary, figure_data, groups, tell)
    return ReportContent(
        title=f"{summary.suite}: {listed(names)}",
        summary=replace(summary, homogeneity=meanings.homogeneity),
        groups=groups,
        rendered=_rendered(runs),
        scores=_scores(runs, shared),
        provenance=_agreement(runs),
        metrics=_metrics(runs),
        figure_data=replace(figure_data, accords=meanings.accords, atlas=meanings.atlas),
        runs=_origins(runs, folders),
        notes=[
            *twin_notes(runs),
            *left_out_notes(runs, shared),
            *unlike(summary.estimates, summary.arms),
            *map_notes,
            *_unmerged_people(names, contents),
        ],
    )


def _unmerged_people(names: Sequence[str], contents: Sequence[ReportContent]) -> list[str]:
    asked = [name for name, content in zip(names, contents, strict=True) if content.people is not None]
    return [f"What people said of {listed(asked)} is not here; each run's own report has it."] if asked else []


def _groups(runs: Sequence[MergedRun], shared: Sequence[str]) -> Groups:
    return {
        run.names[arm]: _of_prompts(groups, shared)
        for run in runs
        for arm, groups in run.content.groups.items()
        if run.adds(arm)
    }


def _of_prompts(groups: Sequence[Group], shared: Sequence[str]) -> Sequence[Group]:
    return _picked(groups, positions([prompt.id for prompt in prompts_of(groups)], shared))


def _picked(items: Sequence[Item], places: Sequence[int]) -> Sequence[Item]:
    return Picked(items, tuple(places)) if isinstance(items, Lazy) else [items[place] for place in places]


def _rendered(runs: Sequence[MergedRun]) -> dict[str, Mapping[str, str]]:
    return {
        run.names[arm]: prompts for run in runs for arm, prompts in run.content.rendered.items() if arm in run.names
    }


def _scores(runs: Sequence[MergedRun], shared: Sequence[str]) -> Scores:
    merged: dict[str, dict[str, Sequence[Sequence[float | None]]]] = {}
    for run in runs:
        for score, by_arm in run.content.scores.items():
            for arm, rows in by_arm.items():
                kept = positions([prompt.id for prompt in prompts_of(run.content.groups[arm])], shared)
                merged.setdefault(score, {}).setdefault(run.names[arm], _picked(rows, kept))
    return merged


def _agreement(runs: Sequence[MergedRun]) -> dict[str, JSON]:
    """How the scores agree, where a run all of whose prompts are here says it."""
    tables = [(run, run.content.provenance.get("agreement")) for run in runs if run.is_complete]
    rows: list[JSON] = [
        {**row, "arm": run.names[str(row["arm"])]}
        for run, table in tables
        for row in (table if isinstance(table, Sequence) else ())
        if isinstance(row, Mapping) and run.adds(str(row.get("arm")))
    ]
    return {"agreement": rows} if rows else {}


def _metrics(runs: Sequence[MergedRun]) -> dict[str, MetricText]:
    """As the first run that has the measure tells it."""
    return {name: text for run in reversed(runs) for name, text in run.content.metrics.items()}


def _origins(runs: Sequence[MergedRun], folders: Sequence[Path]) -> list[RunOrigin]:
    return [
        RunOrigin(run.name, str(folder), len(run.summary.prompts), run.content.provenance)
        for run, folder in zip(runs, folders, strict=True)
    ]
