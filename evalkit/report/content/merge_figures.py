"""What the figures of several runs are drawn from, besides the numbers of the summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evalkit.analysis.figure_data import ChoiceShares, CompletionMap, FigureData, Meanings, Shape
from evalkit.checkpoints.training_log import Training
from evalkit.report.content.merge_runs import MergedRun


def merged_figures(
    runs: Sequence[MergedRun], shared: Sequence[str], completion_map: CompletionMap | None
) -> FigureData:
    """Each arm's and checkpoint's own, under the names that they have together; `completion_map` is of all runs."""
    return FigureData(
        shapes=tuple(_shapes(runs)),
        choices=tuple(_choices(runs, shared)),
        trainings=tuple(_trainings(runs)),
        completion_map=completion_map,
        meanings=_meanings(runs),
    )


def _shapes(runs: Sequence[MergedRun]) -> Iterable[Shape]:
    """Means over all prompts of a run: of complete runs alone."""
    for run in runs:
        for shape in run.content.figure_data.shapes:
            if run.is_complete and run.adds(shape.arm):
                yield replace(shape, arm=run.names[shape.arm])


def _choices(runs: Sequence[MergedRun], shared: Sequence[str]) -> Iterable[ChoiceShares]:
    for run in runs:
        for shares in run.content.figure_data.choices:
            if run.adds(shares.arm) and shares.prompt in shared:
                yield replace(shares, arm=run.names[shares.arm])


def _trainings(runs: Sequence[MergedRun]) -> Iterable[Training]:
    """One a checkpoint."""
    by_checkpoint = {
        run.checkpoints[training.checkpoint]: training for run in runs for training in run.content.figure_data.trainings
    }
    return (replace(training, checkpoint=checkpoint) for checkpoint, training in by_checkpoint.items())


def _meanings(runs: Sequence[MergedRun]) -> Meanings | None:
    """Which completions say the same, where all runs went by one notion of it."""
    by_run = [(run, run.content.figure_data.meanings) for run in runs]
    first = by_run[0][1]
    if first is None or any(
        meanings is None or (meanings.measure, meanings.threshold) != (first.measure, first.threshold)
        for _, meanings in by_run
    ):
        return None
    classes = {
        run.names[arm]: by_prompt
        for run, meanings in by_run
        if meanings is not None
        for arm, by_prompt in meanings.classes.items()
    }
    return replace(first, classes=classes)
