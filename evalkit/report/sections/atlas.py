"""The atlas on the page: what atlas.js draws, and its regions as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis.figure_data import Atlas, Region
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import markers

SEPARATOR = " · "
NAMELESS = "no words of its own"


@dataclass(frozen=True, slots=True)
class AtlasArm:
    """One arm in the key."""

    name: str
    colour: int
    mark: str


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One region, in words."""

    index: int
    name: str
    completions: str
    prompts: str
    shares: tuple[str, ...]
    """Of each arm's completions, in the view's order of arms."""


@dataclass(frozen=True, slots=True)
class AtlasView:
    """What the template says of the atlas."""

    arms: tuple[AtlasArm, ...]
    rows: tuple[RegionRow, ...]
    """The fullest region first."""
    completions: str
    texts: str
    placed: str
    """Texts that all others lie about; empty where every text was placed by itself."""
    kept: str
    near: str
    by_chance: str
    """What `kept` would be without any order."""
    listed: str
    packed: str


def atlas_view(content: ReportContent) -> AtlasView | None:
    """None where the run has no atlas."""
    atlas = content.figure_data.atlas
    if atlas is None:
        return None
    texts = dict(atlas.columns)["x"]
    totals = [sum(region.completions[arm] for region in atlas.regions) for arm in range(len(atlas.arms))]
    return AtlasView(
        arms=_key(content.summary, atlas),
        rows=tuple(_row(index, atlas.regions[index], totals) for index in _fullest_first(atlas)),
        completions=f"{sum(totals):,}",
        texts=f"{texts:,}",
        placed="" if atlas.placed == texts else f"{atlas.placed:,}",
        kept=_percent(atlas.kept),
        near=_percent(atlas.near),
        by_chance=_percent(10 / texts),
        listed=_percent(atlas.listed),
        packed=atlas.packed,
    )


def atlas_data(content: ReportContent) -> JSON:
    """What atlas.js reads besides the packed columns; null where there is nothing."""
    atlas = content.figure_data.atlas
    if atlas is None:
        return None
    summary = content.summary
    colours, symbols = markers.colours(summary), markers.symbols(summary)
    places = {prompt: index for index, prompt in enumerate(summary.prompts)}
    return {
        "columns": [list(column) for column in atlas.columns],
        "arms": [{"name": arm, "colour": f"--arm-{colours[arm]}", "symbol": symbols[arm]} for arm in atlas.arms],
        "prompts": [places.get(prompt) for prompt in atlas.prompts],
        "regions": [
            {"words": list(region.words), "x": region.x, "y": region.y, "completions": list(region.completions)}
            for region in atlas.regions
        ],
    }


def region_name(region: Region) -> str:
    """In words of strangers: to be escaped as all of theirs."""
    return SEPARATOR.join(region.words) or NAMELESS


def _key(summary: Summary, atlas: Atlas) -> tuple[AtlasArm, ...]:
    colours, symbols = markers.colours(summary), markers.symbols(summary)
    return tuple(AtlasArm(arm, colours[arm], markers.MARKS[markers.SYMBOLS.index(symbols[arm])]) for arm in atlas.arms)


def _fullest_first(atlas: Atlas) -> list[int]:
    return sorted(range(len(atlas.regions)), key=lambda index: -sum(atlas.regions[index].completions))


def _row(index: int, region: Region, totals: Sequence[int]) -> RegionRow:
    return RegionRow(
        index=index,
        name=region_name(region),
        completions=f"{sum(region.completions):,}",
        prompts=f"{region.prompts:,}",
        shares=tuple(
            _percent(count / total) if total else "–" for count, total in zip(region.completions, totals, strict=True)
        ),
    )


def _percent(share: float) -> str:
    percent = 100 * share
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f} %"
