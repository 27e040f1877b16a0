"""The maps of completions: what map.js draws, and the table behind the map of all prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean

from evalkit.analysis.figure_data import CompletionMap, MappedTexts, PromptMap
from evalkit.plumbing.arrays import JSON
from evalkit.records import Arm, Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import figures
from evalkit.report.plots import markers as signs

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True, slots=True)
class MapRow:
    """One arm, in words."""

    arm: str
    completions: str
    different: str
    distance: str
    distance_shown: str


@dataclass(frozen=True, slots=True)
class MapView:
    """What the template says of the maps."""

    rows: tuple[MapRow, ...]
    share: str
    """Of the variance, what the map of all prompts shows."""
    step: int
    """Every n-th completion is shown."""


def map_view(content: ReportContent) -> MapView | None:
    """The table behind the map of all prompts; None where the suite measured nothing that needs embeddings."""
    found = content.evidence.completion_map
    if found is None:
        return None
    shown = {arm.arm: arm.distance_shown for arm in found.arms}
    own = {arm: [texts for one in found.prompts for texts in one.arms if texts.arm == arm] for arm in shown}
    rows = [
        MapRow(
            arm=arm,
            completions=f"{sum(texts.drawn for texts in members):,}",
            different=f"{fmean(texts.different for texts in members):.1f}",
            distance=f"{fmean(texts.distance for texts in members):.2f}",
            distance_shown=f"{shown[arm]:.2f}",
        )
        for arm, members in own.items()
    ]
    return MapView(tuple(rows), "all" if found.share is None else f"{found.share:.0%}".replace("%", " %"), found.step)


def map_data(content: ReportContent) -> JSON:
    """What map.js draws; null where there is nothing."""
    found = content.evidence.completion_map
    if found is None:
        return None
    summary = content.summary
    places = {arm.name: place for place, arm in enumerate(summary.arms)}
    known = [one for one in found.prompts if one.prompt in summary.prompts]
    return {
        "step": found.step,
        "arms": _arms(summary, found),
        "prompts": [_prompt(one, summary.prompts.index(one.prompt), places) for one in narrowed(known, summary.arms)],
    }


def narrowed(prompts: Sequence[PromptMap], arms: Sequence[Arm]) -> list[PromptMap]:
    """Those first whose completions moved together most, from the baseline to the arm that moved most."""
    return sorted(prompts, key=lambda one: -_fall({texts.arm: texts.distance for texts in one.arms}, arms))


def _fall(distances: Mapping[str, float], arms: Sequence[Arm]) -> float:
    falls = [
        distances[arm.baseline] - distances[arm.name]
        for arm in arms
        if arm.baseline is not None and arm.baseline in distances and arm.name in distances
    ]
    return max(falls, default=0.0)


def _arms(summary: Summary, found: CompletionMap) -> JSON:
    """In the summary's order; colours are shared by the arms of a checkpoint, symbols and dashes are not."""
    numbers, symbols = signs.numbers(summary), signs.symbols(summary)
    names = [arm.name for arm in summary.arms]
    outlines = {arm.arm: astuple(arm.outline) for arm in found.arms}
    return [
        {
            "name": arm.name,
            "label": figures.shown(arm.name),
            "colour": signs.themed(numbers[arm.name]),
            "number": signs.colour(numbers[arm.name]),
            "symbol": symbols[arm.name],
            "dash": DASHES[place % len(DASHES)],
            "baseline": names.index(arm.baseline) if arm.baseline in names else None,
            "outline": outlines.get(arm.name),
        }
        for place, arm in enumerate(summary.arms)
    ]


def _prompt(one: PromptMap, index: int, places: Mapping[str, int]) -> JSON:
    return {
        "index": index,
        "stress": one.stress,
        "arms": [_texts(texts, places[texts.arm]) for texts in one.arms if texts.arm in places],
    }


def _texts(found: MappedTexts, arm: int) -> JSON:
    return {
        "arm": arm,
        "texts": found.texts,
        "counts": found.counts,
        "x": found.x,
        "y": found.y,
        "ax": found.around_x,
        "ay": found.around_y,
        "outline": astuple(found.outline),
        "told": [f"{found.different} of {found.drawn}", f"{found.distance:.2f}", f"{found.distance_shown:.2f}"],
    }
