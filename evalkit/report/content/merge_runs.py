"""The runs of one report: the prompts that all of them asked alike, and what each run's arms are called together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.errors import Incomparable
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import listed
from evalkit.records import Arm, Prompt
from evalkit.report.content.content import ReportContent
from evalkit.runs.stored_groups import prompts_of


@dataclass(frozen=True)
class MergedRun:
    """One of the runs, as it goes into the report of all."""

    name: str
    content: ReportContent
    names: Mapping[str, str]
    """Its arms -> what they are called in the report of all."""
    twins: frozenset[str]
    """Its arms that an earlier run has too, from the very same completions: they stand there once."""
    is_complete: bool
    """Whether all that it asked is in the report of all."""

    @property
    def summary(self) -> Summary:
        return self.content.summary

    @property
    def checkpoints(self) -> dict[str, str]:
        """Its checkpoints -> what they are called in the report of all."""
        return {arm.checkpoint: _checkpoint(self.names[arm.name], arm) for arm in self.summary.arms}

    def adds(self, arm: str) -> bool:
        """Whether it is an arm of this run that no earlier run has."""
        return arm in self.names and arm not in self.twins


def shared_prompts(names: Sequence[str], contents: Sequence[ReportContent]) -> list[str]:
    """Ids of the prompts that all runs asked alike, in the first run's order; clusters are no part of what is asked.

    Raises `Incomparable` where there is none.
    """
    first, *others = [_prompts(content) for content in contents]
    shared = [
        prompt
        for prompt in contents[0].summary.prompts
        if all(prompts.get(prompt) == first[prompt] for prompts in others)
    ]
    if not shared:
        raise Incomparable(
            f"prompts: {listed(names)} share none (the same id, text, answer, references and choices); "
            "nothing can be paired: make a report of each"
        )
    return shared


def _prompts(content: ReportContent) -> dict[str, Prompt]:
    groups = next(iter(content.groups.values()), ())
    return {prompt.id: replace(prompt, cluster=None) for prompt in prompts_of(groups)}


def merged_runs(names: Sequence[str], contents: Sequence[ReportContent], shared: Sequence[str]) -> list[MergedRun]:
    """Every run with the names that its arms have beside those of the runs before it."""
    runs: list[MergedRun] = []
    for name, content in zip(names, contents, strict=True):
        twins = {arm.name: _twin(arm, content, runs) for arm in content.summary.arms}
        arm_names = {arm: twin or f"{name}/{arm}" for arm, twin in twins.items()}
        known = frozenset(arm for arm, twin in twins.items() if twin is not None)
        runs.append(MergedRun(name, content, arm_names, known, len(content.summary.prompts) == len(shared)))
    return runs


def _twin(arm: Arm, content: ReportContent, earlier: Sequence[MergedRun]) -> str | None:
    """What an earlier run's arm is called that has the same weights, settings and completions."""
    for run in earlier:
        for other in run.summary.arms:
            if _are_alike(arm, content, other, run.content):
                return run.names[other.name]
    return None


def _are_alike(arm: Arm, content: ReportContent, other: Arm, other_content: ReportContent) -> bool:
    weights = _weights(content, arm)
    if weights is None or weights != _weights(other_content, other):
        return False
    if (other.sampling, other.best_of, other.kind) != (arm.sampling, arm.best_of, arm.kind):
        return False
    mine, theirs = content.groups[arm.name], other_content.groups[other.name]
    pairs = zip(mine, theirs, strict=False)
    return len(mine) == len(theirs) and all(ours.completions == others.completions for ours, others in pairs)


def _weights(content: ReportContent, arm: Arm) -> JSON:
    """The fingerprint of its checkpoint, if the manifest tells it."""
    entry: JSON = content.provenance
    for key in ("identity", "checkpoints", arm.checkpoint, "fingerprint"):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    return entry


def _checkpoint(arm_name: str, arm: Arm) -> str:
    """RUN/CHECKPOINT of an arm that is called RUN/ARM."""
    return arm_name.removesuffix(arm.name) + arm.checkpoint


def merged_arms(runs: Sequence[MergedRun]) -> list[Arm]:
    """The arms of all runs, each with its baseline there."""
    return [
        replace(
            arm,
            name=run.names[arm.name],
            checkpoint=_checkpoint(run.names[arm.name], arm),
            baseline=_baseline(arm, run, runs[0]),
        )
        for run in runs
        for arm in run.summary.arms
        if run.adds(arm.name)
    ]


def _baseline(arm: Arm, run: MergedRun, first: MergedRun) -> str | None:
    """In the first run the arm's own; else the first run's counterpart of it, or of the arm itself in a baseline."""
    if run is first:
        return None if arm.baseline is None else run.names[arm.baseline]
    wanted = arm.name if arm.checkpoint in _baseline_checkpoints(run) else arm.baseline
    offered = [other.name for other in first.summary.arms if other.checkpoint in _baseline_checkpoints(first)]
    return first.names[wanted if wanted in offered else offered[0]] if offered else None


def _baseline_checkpoints(run: MergedRun) -> set[str]:
    return {arm.checkpoint for arm in run.summary.arms if arm.baseline is None}
