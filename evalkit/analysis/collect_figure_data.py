"""Figure data from measured completions: how next-token distributions fall, what became of choices, what is alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.analysis.atlas import draw_atlas
from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.embedding_map import map_completions
from evalkit.analysis.figure_data import ChoiceShares, FigureData, Meanings, Shape
from evalkit.analysis.intervals import mean_intervals
from evalkit.analysis.shown import in_memory
from evalkit.metrics.choice_match import given
from evalkit.metrics.diversity.semantic_classes import partition
from evalkit.metrics.divisions.divided import classes_in, division_of
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.plumbing.by_row import by_row
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import CONFIDENCE, RANKS, Group, Groups, Prompt


def collect_figure_data(
    groups: Groups, measures: Sequence[Measure], shown: int | None = None, tell: Listener = QUIET
) -> FigureData:
    """What the report shows of these groups: distributions, choices and meanings where a measure used them.

    `shown`: how many of a prompt's completions under an arm are on the page; None: all.
    """
    notion = _notion(measures)
    tell.stage("gather figures", max(map(len, groups.values()), default=0))
    rows = by_row(_Figures(notion, shown), groups, tell.advance)
    parts = {arm: [row[arm] for row in rows if arm in row] for arm in groups}
    mapped = in_memory(groups, shown) if any(one.is_embedded for row in rows for one in row.values()) else {}
    return FigureData(
        shapes=tuple(shape for arm, of_arm in parts.items() for shape in _shapes(arm, of_arm)),
        choices=tuple(
            replace(part.choices, arm=arm) for arm, of_arm in parts.items() for part in of_arm if part.choices
        ),
        completion_map=map_completions(mapped, tell),
        atlas=draw_atlas(mapped, tell),
        meanings=None if notion is None else _meanings(notion, parts),
    )


@dataclass(frozen=True)
class _Notion:
    """How a measure divides completions by what they say."""

    measure: str
    key: str
    """Who tells, in `Group.divisions`; empty: embeddings."""
    threshold: float | None
    """Least cosine; None where somebody else tells."""

    def classes(self, group: Group) -> Ints | None:
        if not group.completions:
            return None
        return classes_in(group, self.key) if self.threshold is None else partition(group, self.threshold)


def _notion(measures: Sequence[Measure]) -> _Notion | None:
    """That of the first measure that asks somebody else than embeddings, else of the first that goes by them."""
    for measure in measures:
        division = division_of(measure.definition, measure.params)
        if division is not None:
            return _Notion(str(measure), division.key, None)
    for measure in measures:
        threshold = dict(measure.params)["threshold"] if measure.definition.divides_by_meaning else None
        if isinstance(threshold, float):
            return _Notion(str(measure), "", threshold)
    return None


@dataclass(frozen=True, slots=True)
class _Part:
    """What one group gives to figures."""

    prompt: Prompt
    at_ranks: Array | None
    """(R,) where next-token distributions are known."""
    choices: ChoiceShares | None
    classes: tuple[int, ...] | None
    is_embedded: bool


@dataclass(frozen=True)
class _Figures:
    notion: _Notion | None
    shown: int | None

    def __call__(self, row: int, groups: Mapping[str, Group]) -> dict[str, _Part]:
        return {arm: self._part(group) for arm, group in groups.items()}

    def _part(self, group: Group) -> _Part:
        return _Part(
            group.prompt,
            _probabilities_at_ranks(group) if group.next_token_distributions else None,
            _choices(group) if group.prompt.choices else None,
            self._classes(group),
            group.embeddings is not None,
        )

    def _classes(self, group: Group) -> tuple[int, ...] | None:
        classes = None if self.notion is None else self.notion.classes(group)
        return None if classes is None else tuple(classes.tolist()[: self.shown])


def _meanings(notion: _Notion, parts: Mapping[str, Sequence[_Part]]) -> Meanings:
    """Classes in one notion of what says the same."""
    classes = {
        arm: {part.prompt.id: part.classes for part in of_arm if part.classes is not None}
        for arm, of_arm in parts.items()
    }
    return Meanings(notion.measure, notion.threshold, classes)


def _shapes(arm: str, parts: Sequence[_Part]) -> list[Shape]:
    """One, or none where no next-token distribution is known."""
    known = [(part.prompt, part.at_ranks) for part in parts if part.at_ranks is not None]
    if not known:
        return []
    rows = np.array([at_ranks for _, at_ranks in known])
    intervals = mean_intervals(rows.T, CONFIDENCE, clusters_of([prompt for prompt, _ in known]))
    return [
        Shape(
            arm,
            RANKS,
            tuple(finite_or_none(mean.value) for mean in intervals),
            tuple(finite_or_none(mean.low) for mean in intervals),
            tuple(finite_or_none(mean.high) for mean in intervals),
        )
    ]


def _probabilities_at_ranks(group: Group) -> Array:
    """(R,) mean over a prompt's tokens."""
    assert group.next_token_distributions
    rows = np.concatenate([along.logprobs_at_ranks for along in group.next_token_distributions]).astype(np.float64)
    return np.asarray(np.exp(rows).mean(axis=0))


def _choices(group: Group) -> ChoiceShares:
    logprob_of = group.choice_logprobs or {}
    choices = tuple(group.prompt.choices)
    answers = (given(completion.text, choices) for completion in group.completions)
    drawn = Counter(choice for choice in answers if choice is not None)
    return ChoiceShares(
        group.prompt.id,
        "",
        {choice: float(np.exp(logprob)) for choice, logprob in logprob_of.items()},
        {choice: drawn[choice] for choice in choices},
        len(group.completions),
    )
