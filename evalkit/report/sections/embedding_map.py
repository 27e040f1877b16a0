"""The maps of completions: what map.js draws, and the table behind the map of all prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean

from evalkit.analysis.figure_data import CompletionMap, MappedTexts, PromptMap
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON
from evalkit.records import Arm
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import figures, markers

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
    completion_map = content.figure_data.completion_map
    if completion_map is None:
        return None
    shown = {arm.arm: arm.distance_shown for arm in completion_map.arms}
    by_arm = {
        arm: [texts for prompt in completion_map.prompts for texts in prompt.arms if texts.arm == arm] for arm in shown
    }
    rows = [
        MapRow(
            arm=arm,
            completions=f"{sum(texts.drawn for texts in members):,}",
            different=f"{fmean(texts.different for texts in members):.1f}",
            distance=f"{fmean(texts.distance for texts in members):.2f}",
            distance_shown=f"{shown[arm]:.2f}",
        )
        for arm, members in by_arm.items()
    ]
    return MapView(
        tuple(rows),
        "all" if completion_map.share is None else f"{completion_map.share:.0%}".replace("%", " %"),
        completion_map.step,
    )


def map_data(content: ReportContent) -> JSON:
    """What map.js draws; null where there is nothing."""
    completion_map = content.figure_data.completion_map
    if completion_map is None:
        return None
    summary = content.summary
    order = {arm.name: index for index, arm in enumerate(summary.arms)}
    known = [prompt for prompt in completion_map.prompts if prompt.prompt in summary.prompts]
    return {
        "step": completion_map.step,
        "arms": _arms(summary, completion_map),
        "prompts": [
            _prompt(prompt, summary.prompts.index(prompt.prompt), order) for prompt in narrowed(known, summary.arms)
        ],
    }


def narrowed(prompts: Sequence[PromptMap], arms: Sequence[Arm]) -> list[PromptMap]:
    """Those first whose completions moved together most, from the baseline to the arm that moved most."""
    return sorted(prompts, key=lambda prompt: -_fall({texts.arm: texts.distance for texts in prompt.arms}, arms))


def _fall(distances: Mapping[str, float], arms: Sequence[Arm]) -> float:
    falls = [
        distances[arm.baseline] - distances[arm.name]
        for arm in arms
        if arm.baseline is not None and arm.baseline in distances and arm.name in distances
    ]
    return max(falls, default=0.0)


def _arms(summary: Summary, completion_map: CompletionMap) -> JSON:
    """In the summary's order; colours are shared by the arms of a checkpoint, symbols and dashes are not."""
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    names = [arm.name for arm in summary.arms]
    outlines = {arm.arm: astuple(arm.outline) for arm in completion_map.arms}
    return [
        {
            "name": arm.name,
            "label": figures.shown(arm.name),
            "colour": markers.themed(numbers[arm.name]),
            "number": markers.colour(numbers[arm.name]),
            "symbol": symbols[arm.name],
            "dash": DASHES[index % len(DASHES)],
            "baseline": names.index(arm.baseline) if arm.baseline in names else None,
            "outline": outlines.get(arm.name),
        }
        for index, arm in enumerate(summary.arms)
    ]


def _prompt(prompt: PromptMap, index: int, order: Mapping[str, int]) -> JSON:
    return {
        "index": index,
        "stress": prompt.stress,
        "arms": [_texts(texts, order[texts.arm]) for texts in prompt.arms if texts.arm in order],
    }


def _texts(texts: MappedTexts, arm: int) -> JSON:
    return {
        "arm": arm,
        "texts": texts.texts,
        "counts": texts.counts,
        "x": texts.x,
        "y": texts.y,
        "ax": texts.around_x,
        "ay": texts.around_y,
        "outline": astuple(texts.outline),
        "cells": [f"{texts.different} of {texts.drawn}", f"{texts.distance:.2f}", f"{texts.distance_shown:.2f}"],
    }
