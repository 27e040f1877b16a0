"""The first screen's chart: quality, or where none is known agreement, against diversity; and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.analysis.estimates import is_at_ceiling
from evalkit.metrics.registry import label
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.prose import capital, listed
from evalkit.records import Side
from evalkit.report.content.content import MetricText, ReportContent
from evalkit.report.plots import figures
from evalkit.report.plots.frontier import frontier
from evalkit.report.sections import temperature_sweeps
from evalkit.report.verdicts.plain_names import pictured

NAMES: dict[Side, str] = {"quality": "Quality", "match": "Agreement", "diversity": "Diversity"}


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the template prints of it."""

    title: str
    upward: str
    """Name of the side that stands upwards; empty where one side alone is known."""
    better: str
    """What is further up."""
    quality: tuple[str, ...]
    """The selector's options of that side ..."""
    diversity: tuple[str, ...]
    """... and of the other."""
    first_diversity: int
    """Place of the measure of diversity with which the charts begin."""
    missing: tuple[str, ...]
    """Why a side is not on the chart."""
    has_sentences: bool
    """Whether something is said above some chart."""


def overview(content: ReportContent) -> Overview:
    """What there is to see and to choose."""
    summary = content.summary
    upward = upward_side(summary)
    up, right = figures.plottable(summary, upward), figures.plottable(summary, "diversity")
    shown: Side = upward if up else "diversity"
    return Overview(
        title=f"{NAMES[upward]} against diversity" if up and right else f"{NAMES[shown]} of every arm",
        upward=NAMES[upward] if up else "",
        better=figures.direction(shown),
        quality=_options(up, content.metrics),
        diversity=_options(right, content.metrics),
        first_diversity=easiest(right, summary),
        missing=tuple(_missing(summary)),
        has_sentences=any(sentences for row in said(summary) for sentences in row),
    )


def upward_side(summary: Summary) -> Side:
    """Quality where anything is known of it, else agreement where that is."""
    return "match" if figures.plottable(summary, "match") and not figures.plottable(summary, "quality") else "quality"


def drawn(summary: Summary) -> JSON:
    """The figures: [upwards][diversity], or one row or column of dot plots where one side is not known."""
    up, right = _axes(summary)
    if up and right:
        return [[frontier(summary, upward, measure) for measure in right] for upward in up]
    if right:
        return [[figures.dots(summary, measure) for measure in right]]
    return [[figures.dots(summary, measure)] for measure in up]


def said(summary: Summary) -> list[list[list[str]]]:
    """Sentences above each of `drawn`: which arms are not on it, and what sweeps say where both are equally good."""
    up, right = _axes(summary)
    if up and right:
        return [
            [
                [*_absent(summary, upward, measure), *temperature_sweeps.sentences(summary, upward, measure)]
                for measure in right
            ]
            for upward in up
        ]
    if right:
        return [[_absent(summary, measure) for measure in right]]
    return [[_absent(summary, measure)] for measure in up]


def _axes(summary: Summary) -> tuple[list[str], list[str]]:
    return figures.plottable(summary, upward_side(summary)), figures.plottable(summary, "diversity")


def _options(measures: Sequence[str], texts: Mapping[str, MetricText]) -> tuple[str, ...]:
    """Every measure with its unit."""
    units = [texts[measure].unit if measure in texts else "" for measure in measures]
    return tuple(
        f"{label(measure)}, in {unit}" if unit else label(measure)
        for measure, unit in zip(measures, units, strict=True)
    )


def easiest(measures: Sequence[str], summary: Summary) -> int:
    """Place of the measure that a reader can picture best, with which the charts begin, as verdict and cards do."""
    traits = effects.traits(summary)
    full = {estimate.metric for estimate in summary.estimates if is_at_ceiling(estimate)}
    return min(
        range(len(measures)),
        key=lambda index: (measures[index] in full, pictured(traits[measures[index]])),
        default=0,
    )


def _absent(summary: Summary, *measures: str) -> list[str]:
    """A sentence that names the arms without a number of one of the measures; none where all have one."""
    estimates = effects.estimates(summary)
    absent: dict[tuple[str, ...], list[str]] = {}
    for arm in summary.arms:
        undefined = tuple(
            label(measure)
            for measure in measures
            if (measure, arm.name) not in estimates or not is_number(estimates[measure, arm.name].value)
        )
        absent.setdefault(undefined, []).append(arm.name)
    parts = [
        f"{listed(arms)} ({listed(undefined)} {'is' if len(undefined) == 1 else 'are'} not defined)"
        for undefined, arms in absent.items()
        if undefined
    ]
    return [f"Not on this chart: {listed(parts)}."] if parts else []


def _missing(summary: Summary) -> Iterator[str]:
    """What is not on any chart of the first screen, and why."""
    sides: tuple[Side, ...] = ("quality", "diversity")
    for side in sides:
        measures = figures.measures(summary, side)
        if figures.plottable(summary, side) or not summary.estimates:
            continue
        if measures:
            names, verb = listed(map(label, measures)), "is" if len(measures) == 1 else "are"
            yield (
                f"{capital(side)} is not shown: {names} {verb} not defined for any arm; “Read with care” and the "
                "metric's own words under “Every metric” say why."
            )
        elif side == "quality":
            yield (
                "Quality is not shown, for no measure of it was asked for: whether a wider range is one of good "
                "answers is not known."
            )
