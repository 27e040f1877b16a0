"""Quality against diversity: every arm with both intervals, decoding paths, ladders, and the better corner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, groupby

from evalkit.analysis import effects
from evalkit.analysis.decoding.paths import paths_of
from evalkit.metrics.summary import Summary
from evalkit.records import Arm
from evalkit.report.plots import markers, scatter
from evalkit.report.plots.figures import GRID, Figure, direction, page_layout, shown
from evalkit.report.verdicts.ladders import ladders
from evalkit.report.wording import label

HEIGHT = 460


def frontier(summary: Summary, quality: str, diversity: str) -> Figure:
    """Every arm at its diversity (right is more) and its quality or agreement (up is better or nearer)."""
    words = direction(effects.traits(summary)[quality].side)
    betters = effects.betters(summary)
    numbers = markers.numbers(summary)
    known = scatter.both_known(summary, diversity, quality, _by_checkpoint(summary.arms, numbers))
    across = scatter.reach([x for _, x, _ in known], betters[diversity])
    upwards = scatter.reach([y for _, _, y in known], betters[quality])
    checkpoints = [list(points) for _, points in groupby(known, key=lambda point: point[0].checkpoint)]
    ways = _ways(summary, [arm.name for arm, _, _ in known])
    layout = page_layout(
        height=HEIGHT,
        xaxis=_axis(diversity, "more diverse", across),
        yaxis=_axis(quality, words, upwards),
        shapes=_corner(),
        annotations=[_corner_words(words)],
    )
    ladder_lines = [scatter.joined(way, known) for way in ways]
    return {
        "data": [*ladder_lines, *chain.from_iterable(_traces(points, numbers) for points in checkpoints)],
        "layout": layout,
    }


def _ways(summary: Summary, known: list[str]) -> list[list[str]]:
    """From the baseline over each ladder's arms, in its order."""
    return [[name for name in (ladder.baseline, *ladder.arms) if name in known] for ladder in ladders(summary)]


def _traces(points: Sequence[scatter.Known], numbers: Mapping[str, int]) -> list[Figure]:
    """A checkpoint's arms joined by temperature; where more than that differs, along each of its paths."""
    arms = [arm for arm, _, _ in points]
    number = numbers[arms[0].name]
    paths = paths_of(arms)
    if len(arms) == 1 or any(set(path.arms) == {arm.name for arm in arms} for path in paths):
        return [scatter.path(points, number)]
    lines = [scatter.joined(path.arms, points) | {"line": _line(number)} for path in paths]
    # Colour and symbol say whose they are; whole names of so many arms would cover each other.
    text = [shown(arm.name.removeprefix(f"{arm.checkpoint}@")) for arm in arms]
    return [*lines, scatter.path(points, number) | {"mode": "markers+text", "text": text}]


def _line(number: int) -> Figure:
    return {"color": markers.themed(number), "width": 1.5}


def _by_checkpoint(arms: Sequence[Arm], numbers: Mapping[str, int]) -> list[Arm]:
    """A checkpoint's arms by temperature, the checkpoints by their `numbers`."""
    return sorted(arms, key=lambda arm: (numbers[arm.name], _temperature(arm)))


def _temperature(arm: Arm) -> float:
    return arm.sampling.temperature if arm.sampling else 0.0


def _axis(metric: str, words: str, ends: scatter.Ends) -> Figure:
    title = {"title": {"text": f"{shown(label(metric))} ({words} →)"}, "automargin": True}
    return GRID | title | {"range": list(ends)}


def _corner() -> list[Figure]:
    """Quarter discs in the upper right corner, darker towards it."""
    return [
        {
            "type": "path",
            "xref": "paper",
            "yref": "paper",
            "path": f"M {1 - r},1 C {1 - r},{1 - 0.55 * r} {1 - 0.55 * r},{1 - r} 1,{1 - r} L 1,1 Z",
            "fillcolor": "var(--gained)",
            "opacity": 0.07,
            "line": {"width": 0},
            "layer": "below",
        }
        for r in (0.16, 0.3, 0.44)
    ]


def _corner_words(upwards: str) -> Figure:
    return {
        "text": f"{upwards} and more diverse ↗",
        "x": 1,
        "y": 1,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "right",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"color": "var(--gained)", "size": 13},
    }
