"""Decoding paths on the plane of quality and diversity: connected lines with settings as labels, crossings marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from evalkit.analysis import effects
from evalkit.metrics.decoding import Decoding, DecodingPath
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.report.plots import markers, scatter
from evalkit.report.plots.figures import GRID, Figure, direction, estimate_hover, page_layout, shown
from evalkit.report.verdicts.decoding import crossing_sentence, name_of, path_words
from evalkit.report.wording import label

HEIGHT = 480
DASHES = {"temperature": "solid", "min_p": "dash", "top_p": "dot"}
Points = Mapping[str, tuple[Estimate, Estimate]]
"""Arm -> its diversity and its quality."""


def decoding_figure(summary: Summary, diversity: str) -> Figure | None:
    """Right is more diverse, up is better; None without a quality, or without two points."""
    found = summary.decoding
    if found is None or found.quality is None:
        return None
    points = _points(summary, diversity, found.quality)
    numbers = markers.numbers(summary)
    drawn = [path for path in found.paths if all(arm in points for arm in path.arms)]
    if not drawn:
        return None
    lines = [_line(path, points, numbers[path.arms[0]]) for path in drawn]
    checkpoints = dict.fromkeys(arm.checkpoint for arm in summary.arms)
    dots = [
        _dots(labels, points, numbers[next(iter(labels))])
        for checkpoint in checkpoints
        if (labels := _labels(summary, found, checkpoint, points))
    ]
    layout = _layout(summary, found, diversity, points)
    return {"data": [*lines, *dots, *_crossings(found, diversity, points)], "layout": layout}


def _points(summary: Summary, diversity: str, quality: str) -> Points:
    known = scatter.both_known(summary, diversity, quality, summary.arms)
    return {arm.name: (across, up) for arm, across, up in known}


def _line(path: DecodingPath, points: Points, number: int) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": shown(f"{path.checkpoint}, {path_words(path)}"),
        "x": [points[arm][0].value for arm in path.arms],
        "y": [points[arm][1].value for arm in path.arms],
        "line": {"color": markers.themed(number), "width": 2, "dash": DASHES[path.setting]},
        "hoverinfo": "skip",
    }


def _labels(summary: Summary, found: Decoding, checkpoint: str, points: Points) -> dict[str, str]:
    """Each of the checkpoint's arms that is on a path, with its setting; the reference arm with its name."""
    labels = {
        arm: f"{name_of(path)} {value:g}"
        for path in reversed(found.paths)
        if path.checkpoint == checkpoint
        for arm, value in zip(path.arms, path.values, strict=True)
    }
    for reference in found.references.values():
        if any(arm.name == reference and arm.checkpoint == checkpoint for arm in summary.arms):
            labels[reference] = f"{checkpoint}, {labels[reference]}" if reference in labels else reference
    return {arm: text for arm, text in labels.items() if arm in points}


def _dots(labels: Mapping[str, str], points: Points, number: int) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [points[arm][0].value for arm in labels],
        "y": [points[arm][1].value for arm in labels],
        "text": [shown(text) for text in labels.values()],
        "textposition": "top right",
        "textfont": {"size": 11},
        "hovertext": [
            f"<b>{shown(arm)}</b><br>{estimate_hover(points[arm][1])}<br>{estimate_hover(points[arm][0])}"
            for arm in labels
        ],
        "hoverinfo": "text",
        "marker": {"color": markers.themed(number), "size": 9, "symbol": markers.symbol(number)},
        "cliponaxis": False,
        "showlegend": False,
    }


def _crossings(found: Decoding, diversity: str, points: Points) -> Iterator[Figure]:
    """A hollow diamond wherever a path is as diverse or as good as the reference arm."""
    places = []
    for crossing in found.crossings:
        path = found.paths[crossing.path]
        if crossing.metric in (diversity, found.quality) and all(arm in points for arm in path.arms):
            places += [(*_place(path, at, points), crossing_sentence(found, crossing)) for at in crossing.at]
    if places:
        yield {
            "type": "scatter",
            "mode": "markers",
            "name": "where a path meets the baseline",
            "x": [x for x, _, _ in places],
            "y": [y for _, y, _ in places],
            "hovertext": [shown_words(text) for _, _, text in places],
            "hoverinfo": "text",
            "marker": {"color": "var(--ink)", "size": 15, "symbol": "diamond-open", "line": {"width": 2}},
            "cliponaxis": False,
        }


def shown_words(text: str) -> str:
    """A sentence for a tooltip, in lines."""
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 60:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(shown(line) if len(line) <= 40 else f"{shown(line[:36])}{shown(line[36:])}" for line in lines)


def _place(path: DecodingPath, at: float, points: Points) -> tuple[float, float]:
    across, up = (
        float(np.interp(at, path.values, [points[arm][axis].value or 0.0 for arm in path.arms])) for axis in (0, 1)
    )
    return across, up


def _layout(summary: Summary, found: Decoding, diversity: str, points: Points) -> Figure:
    assert found.quality is not None
    betters = effects.betters(summary)
    known = list(points.values())
    across = _tight([one for one, _ in known], betters[diversity])
    up = _tight([one for _, one in known], betters[found.quality])
    words = direction(effects.traits(summary)[found.quality].side)
    return page_layout(
        height=HEIGHT,
        xaxis=GRID
        | {"title": {"text": f"{shown(label(diversity))} (more diverse →)"}, "automargin": True, "range": across},
        yaxis=GRID | {"title": {"text": f"{shown(label(found.quality))} ({words} →)"}, "automargin": True, "range": up},
        shapes=[*_levels(found, points)],
    )


def _tight(estimates: list[Estimate], better: str) -> list[float]:
    """Ends of an axis about the points, for no intervals are drawn here; the worse one first."""
    values = [one.value for one in estimates if is_number(one.value)]
    low, high = min(values), max(values)
    room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    return [high + room, low - room] if better == "lower" else [low - room, high + room]


def _levels(found: Decoding, points: Points) -> Iterator[Figure]:
    """The reference arm's diversity and quality, across the whole plane."""
    line = {"color": "var(--muted)", "width": 1, "dash": "dot"}
    for reference in dict.fromkeys(found.references.values()):
        if reference in points:
            across, up = (one.value for one in points[reference])
            base = {"type": "line", "line": line, "layer": "below"}
            yield base | {"x0": across, "x1": across, "yref": "paper", "y0": 0, "y1": 1}
            yield base | {"y0": up, "y1": up, "xref": "paper", "x0": 0, "x1": 1}
