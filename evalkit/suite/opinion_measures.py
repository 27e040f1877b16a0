"""The measures of opinions of a suite with questions: each against every group of people that answered."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.errors import SuiteError
from evalkit.metrics.estimators.opinions import UNIFORM
from evalkit.metrics.registry import Measure, parse
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.yaml_lines import Document


def with_opinion_measures(
    measures: Sequence[Measure], groups: Sequence[str], document: Document
) -> tuple[Measure, ...]:
    """The measures, and the distance to each group where none of them is one of opinions.

    One of opinions that names no group stands for itself against all of them. Raises `SuiteError` where one names a
    group that did not answer.
    """
    for index, measure in enumerate(measures):
        _check_group(measure, groups, f"{document.line_of('metrics', index)}: metrics[{index}]")
    asked = any("opinions" in measure.definition.needs for measure in measures)
    wanted = measures if asked else [*measures, parse("opinion_distance")]
    return tuple(dict.fromkeys(each for measure in wanted for each in _of_groups(measure, groups)))


def _check_group(measure: Measure, groups: Sequence[str], where: str) -> None:
    group = dict(measure.params).get("group", UNIFORM)
    if "opinions" in measure.definition.needs and group not in groups:
        raise SuiteError(
            f"{where}.{measure.name}.group: nobody in opinions_from is called {group!r}"
            f"{did_you_mean(str(group), groups)}; groups: {', '.join(groups)}"
        )


def _of_groups(measure: Measure, groups: Sequence[str]) -> Sequence[Measure]:
    if "opinions" not in measure.definition.needs or dict(measure.params).get("group") != UNIFORM:
        return [measure]
    return [parse({measure.name: {"group": group}}) for group in groups]
