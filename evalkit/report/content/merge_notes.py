"""What a reader of several runs in one report must know: which arms stand there once, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.metrics.registry import is_by_prompt
from evalkit.plumbing.prose import counted, listed
from evalkit.report.content.incomparable import named_together
from evalkit.report.content.merge_runs import MergedRun


def twin_notes(runs: Sequence[MergedRun]) -> list[str]:
    """A sentence a run with arms that an earlier run has from the very same completions."""
    notes = []
    for run in runs:
        twins = [arm.name for arm in run.summary.arms if arm.name in run.twins]
        if twins:
            notes.append(
                f"{listed(twins)} of {run.name} has the very completions of "
                f"{listed(run.names[arm] for arm in twins)}, from the same weights, and stands here once."
            )
    return notes


def left_out_notes(runs: Sequence[MergedRun], shared: Sequence[str]) -> list[str]:
    """Prompts that not all runs asked alike, and what cannot be said without them."""
    cut = [run for run in runs if not run.is_complete]
    if not cut:
        return []
    names = listed([run.name for run in cut])
    missing = [f"{len(run.summary.prompts) - len(shared)} of {run.name}" for run in cut]
    notes = [
        f"All numbers are of the {counted(len(shared), 'prompt')} that all runs asked in the same words; left out: "
        f"{listed(missing)}."
    ]
    metrics = dict.fromkeys(e.metric for run in cut for e in run.summary.estimates if not is_by_prompt(e.metric))
    if metrics:
        notes.append(
            f"Left out too, because they are of all the prompts of a run at once: {named_together(metrics)} of {names}."
        )
    if any(run.summary.curves or run.summary.readings for run in cut):
        notes.append(f"So are the curves over k and the sweeps of {names}; each run's own report has all of it.")
    return notes
