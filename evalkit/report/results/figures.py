"""The page's charts as Plotly figures with colours of their own, by name."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError, MetricError
from evalkit.metrics.registry import respell
from evalkit.metrics.summary import Summary
from evalkit.records import Side
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import asset
from evalkit.report.page import section_figures
from evalkit.report.plots import figures
from evalkit.report.plots.frontier import frontier
from evalkit.report.plots.kl_tradeoff import kl_tradeoff
from evalkit.report.sections import curves as lines
from evalkit.report.sections import words
from evalkit.report.sections.overview import overview, upward_side
from evalkit.report.verdicts.verdict import verdict

if TYPE_CHECKING:
    import plotly.graph_objects as go

FRONTIER = "frontier"
COLOUR = re.compile(r"var\((--[a-z0-9-]+)\)")


def figure_names(content: ReportContent) -> list[str]:
    """What there is to draw, the first screen's chart first."""
    return list(_drawn(content))


def figure_of(content: ReportContent, name: str | None, quality: str | None, diversity: str | None) -> go.Figure:
    """The figure of this name; None: the first screen's. `quality` and `diversity` are the frontier's axes.

    Raises `InputError` where there is none.
    """
    import plotly.graph_objects as go

    known = _drawn(content)
    if not known:
        raise InputError("there is nothing to draw: nothing could be measured")
    wanted = name or next(iter(known))
    if wanted == FRONTIER and FRONTIER in known:
        return go.Figure(in_colour(_frontier(content, quality, diversity)))
    if quality is not None or diversity is not None:
        raise InputError(f"`quality` and `diversity` choose the axes of the figure {FRONTIER!r}, not of {wanted!r}")
    if wanted not in known:
        wanted = _respelled(wanted, known)
    return go.Figure(in_colour(known[wanted]))


def _respelled(name: str, known: dict[str, figures.Figure]) -> str:
    """The measure that is meant (`distinct-2`). Raises `InputError` where nothing is."""
    try:
        spelled = respell(name)
    except MetricError:
        spelled = name
    if spelled not in known:
        why = " (it needs a measure of quality or agreement and one of diversity)" if name == FRONTIER else ""
        raise InputError(f"there is no figure {name!r}{why}; there are: {', '.join(known)}")
    return spelled


def _drawn(content: ReportContent) -> dict[str, figures.Figure]:
    """Name -> figure."""
    summary = content.summary
    by_name: dict[str, figures.Figure] = {}
    upward, right = _axes(summary)
    easiest = overview(content).first_diversity
    if upward and right:
        by_name[FRONTIER] = frontier(summary, upward[0], right[easiest])
    first = [*right[easiest : easiest + 1], *right, *upward]
    sides: tuple[Side, ...] = ("quality", "diversity", "match", "neither")
    by_name |= {
        m: figures.dots(summary, m) for m in (*first, *(m for s in sides for m in figures.plottable(summary, s)))
    }
    by_name |= _differences(summary)
    by_name |= _curves(summary)
    away = {f"kl/{m}": kl_tradeoff(summary, m) for m in (*upward, *right)}
    by_name |= {name: figure for name, figure in away.items() if figure}
    by_name |= {f"words/{arm}": bars for arm, bars in words.arm_figures(summary).items()}
    return by_name | {plot_id.removesuffix("-plot"): figure for plot_id, figure in section_figures(content).items()}


def _axes(summary: Summary) -> tuple[list[str], list[str]]:
    return figures.plottable(summary, upward_side(summary)), figures.plottable(summary, "diversity")


def _frontier(content: ReportContent, quality: str | None, diversity: str | None) -> figures.Figure:
    upward, right = _axes(content.summary)
    easiest = right[overview(content).first_diversity]
    return frontier(content.summary, _chosen(quality, upward, upward[0]), _chosen(diversity, right, easiest))


def _chosen(metric: str | None, known: list[str], default: str) -> str:
    if metric is None:
        return default
    spelled = respell(metric)
    if spelled not in known:
        raise InputError(f"{metric!r} is not on this axis of the figure {FRONTIER!r}; there are: {', '.join(known)}")
    return spelled


def _differences(summary: Summary) -> dict[str, figures.Figure]:
    """Of every compared arm: `differences`, or `differences/ARM` where there are several."""
    arms = verdict(summary).arms
    drawn = {arm.arm: figures.forest(summary, arm.arm, arm.baseline) for arm in arms}
    known = {arm: figure for arm, figure in drawn.items() if figure}
    return {f"differences/{arm}" if len(known) > 1 else "differences": figure for arm, figure in known.items()}


def _curves(summary: Summary) -> dict[str, figures.Figure]:
    """`pass_at`, or `best_of/MEASURE` where there are several of a kind."""
    rising = lines.over_k(summary)
    kinds = list(lines.kinds(rising))
    often = Counter(name for name, _ in kinds)
    names = [name if often[name] == 1 else f"{name}/{measure}" for name, measure in kinds]
    return dict(zip(names, lines.curve_figures(rising), strict=True))


def in_colour(figure: figures.Figure) -> figures.Figure:
    """The figure on the page's light ground, its colours looked up: a notebook has not got the page's style sheet."""
    ground = {"paper_bgcolor": "var(--paper)", "plot_bgcolor": "var(--paper)"}
    coloured: figures.Figure = _looked_up(figure | {"layout": figure["layout"] | ground}, "")
    return coloured


def _looked_up(value: Any, key: str) -> Any:
    """Only where a colour stands: a name may be written like one."""
    if isinstance(value, dict):
        return {name: _looked_up(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_looked_up(item, key) for item in value]
    named = COLOUR.fullmatch(value) if isinstance(value, str) and key.endswith(("color", "colorscale")) else None
    return light_colours()[named[1]] if named else value


@cache
def light_colours() -> dict[str, str]:
    """CSS variable -> colour, of the page's light theme."""
    root = asset("evalkit.report.html", "style.css").split(":root {", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6});", root))
