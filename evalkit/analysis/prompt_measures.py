"""Every metric of single prompts on one prompt's completions, in every variant: what processes can share out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from evalkit.analysis.comparison.curves import OfGroup, PointsOf
from evalkit.analysis.comparison.length_matched import match
from evalkit.analysis.comparison.quality_filtered import filtered_values
from evalkit.analysis.within_prompt import jackknife_error
from evalkit.metrics.embeddings.encoder import Floats
from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array
from evalkit.records import Group

ByArm = Mapping[str, float]


@dataclass(frozen=True)
class PromptValues:
    """What measures say of one prompt."""

    values: Sequence[ByArm]
    """Of each measure, arm -> value."""
    lengths: Sequence[int]
    """In words, of the completions cut to equal lengths, sorted; empty where none were cut."""
    points: Mapping[str, OfGroup] | None
    """What curves are made from; None where none is drawn."""
    errors: Mapping[str, ByArm] = field(default_factory=dict)
    """Measure -> arm -> standard error of its value over the prompt's completions."""

    def beside(self, others: PromptValues, ours: Sequence[bool]) -> PromptValues:
        """These values and those of other measures; `ours`: of each measure of both, whether it is one of these."""
        mine, theirs = iter(self.values), iter(others.values)
        values = [next(mine if own else theirs) for own in ours]
        errors = {**self.errors, **others.errors}
        return PromptValues(values, self.lengths or others.lengths, self.points or others.points, errors)


@dataclass(frozen=True)
class Passing:
    """Which completions are good enough."""

    scores: Mapping[str, Sequence[Array]]
    """Arm -> (k,) quality of each prompt's completions."""
    bar: float


@dataclass(frozen=True)
class PromptMeasures:
    """The work of one prompt."""

    measures: tuple[Measure, ...]
    raw: frozenset[str]
    """Arms that are draws from their checkpoint's untempered distribution."""
    openings: Mapping[str, tuple[str, ...]]
    """Arm -> what is taken off its texts before they are cut to equal lengths; empty where none are."""
    embedded: Mapping[str, Sequence[Floats]]
    """Arm -> the embeddings of each prompt's cut texts; empty where no measure needs those."""
    passing: Passing | None
    """None where the suite names no quality."""
    points: PointsOf | None
    """What curves are made from is found on the way, for the completions and their words are at hand; None where no
    curve is drawn."""
    with_errors: tuple[Measure, ...] = ()
    """Those of `measures` whose standard errors are wanted ..."""
    independent: frozenset[str] = frozenset()
    """... of these arms, whose completions are independent draws."""

    def only(self, kept: Sequence[bool]) -> PromptMeasures:
        """The work for some of the measures."""
        measures = tuple(measure for measure, keep in zip(self.measures, kept, strict=True) if keep)
        with_errors = tuple(measure for measure in self.with_errors if measure in measures)
        return replace(self, measures=measures, with_errors=with_errors)

    def without_points(self) -> PromptMeasures:
        """The work without what curves are made from."""
        return replace(self, points=None)

    def __call__(self, row: int, groups: Mapping[str, Group]) -> PromptValues:
        values: dict[Measure, ByArm] = self._of_groups("whole", groups, groups)
        errors, lengths = self._errors("whole", groups, groups), list[int]()
        if any(measure.variant == "matched" for measure in self.measures):
            matched = match(self.openings, groups)
            lengths = sorted(len(words) for words in next(iter(matched.values())).words)
            embedded = {
                arm: group.embedded(self.embedded[arm][row]) if arm in self.embedded else group
                for arm, group in matched.items()
            }
            values |= self._of_groups("matched", matched, embedded)
            errors |= self._errors("matched", matched, embedded)
        useful = [measure for measure in self.measures if measure.variant == "useful"]
        if useful:
            assert self.passing is not None, "a suite without a quality has no quality-filtered variants"
            scores = {arm: of_arm[row] for arm, of_arm in self.passing.scores.items()}
            values |= filtered_values(useful, groups, scores, self.passing.bar, row)
        points = None if self.points is None else self.points(row, groups)
        return PromptValues([values[measure] for measure in self.measures], lengths, points, errors)

    def _of_groups(
        self, variant: str, groups: Mapping[str, Group], embedded: Mapping[str, Group]
    ) -> dict[Measure, ByArm]:
        """Group by group, so that what a metric has counted in one serves the next."""
        alike = [measure for measure in self.measures if measure.variant == variant]
        values: dict[Measure, dict[str, float]] = {measure: {} for measure in alike}
        for arm, group in groups.items():
            for measure in alike:
                needs_embeddings = "embeddings" in measure.definition.needs
                values[measure][arm] = self._value(measure, arm, embedded[arm] if needs_embeddings else group)
        return dict(values)

    def _errors(self, variant: str, groups: Mapping[str, Group], embedded: Mapping[str, Group]) -> dict[str, ByArm]:
        return {
            str(measure): {
                arm: jackknife_error(measure, (embedded if "embeddings" in measure.definition.needs else groups)[arm])
                for arm in groups
                if arm in self.independent
            }
            for measure in self.with_errors
            if measure.variant == variant
        }

    def _value(self, measure: Measure, arm: str, group: Group) -> float:
        undefined = not group.completions or ("logprobs" in measure.definition.needs and arm not in self.raw)
        return math.nan if undefined else float(measure(group))
