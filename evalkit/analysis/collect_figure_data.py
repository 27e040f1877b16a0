"""Figure data from measured completions: how next-token distributions fall, what became of choices, what is alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.embedding_map import map_completions
from evalkit.analysis.figure_data import ChoiceShares, FigureData, Meanings, Shape
from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.choice_match import given
from evalkit.metrics.diversity.semantic_classes import partition
from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.records import CONFIDENCE, RANKS, Group, Groups


def collect_figure_data(groups: Groups, measures: Sequence[Measure]) -> FigureData:
    """What the report shows of these groups: distributions, choices and meanings where a measure used them."""
    return FigureData(
        shapes=tuple(shape for arm, of_arm in groups.items() for shape in _shapes(arm, of_arm)),
        choices=tuple(
            _choices(arm, group) for arm, of_arm in groups.items() for group in of_arm if group.prompt.choices
        ),
        completion_map=map_completions(groups),
        meanings=_meanings(groups, measures),
    )


def _meanings(groups: Groups, measures: Sequence[Measure]) -> Meanings | None:
    """Classes in the notion of the first measure that divides completions by meaning."""
    measure = next((measure for measure in measures if measure.definition.divides_by_meaning), None)
    if measure is None:
        return None
    threshold = dict(measure.params)["threshold"]
    assert isinstance(threshold, float)
    classes = {
        arm: {group.prompt.id: tuple(partition(group, threshold).tolist()) for group in of_arm if group.completions}
        for arm, of_arm in groups.items()
    }
    return Meanings(str(measure), threshold, classes)


def _shapes(arm: str, groups: Sequence[Group]) -> list[Shape]:
    """One, or none where no next-token distribution is known."""
    known = [group for group in groups if group.next_token_distributions]
    if not known:
        return []
    rows = np.array([_probabilities_at_ranks(group) for group in known])
    intervals = mean_intervals(rows.T, CONFIDENCE, clusters_of([group.prompt for group in known]))
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


def _choices(arm: str, group: Group) -> ChoiceShares:
    logprob_of = group.choice_logprobs or {}
    choices = tuple(group.prompt.choices)
    answers = (given(completion.text, choices) for completion in group.completions)
    drawn = Counter(choice for choice in answers if choice is not None)
    return ChoiceShares(
        group.prompt.id,
        arm,
        {choice: float(np.exp(logprob)) for choice, logprob in logprob_of.items()},
        {choice: drawn[choice] for choice in choices},
        len(group.completions),
    )
