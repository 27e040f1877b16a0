"""Quality and diversity against KL from the baseline: what moving away bought."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis import effects
from evalkit.metrics.summary import Summary
from evalkit.report.plots import figures, markers, scatter
from evalkit.report.plots.figures import GRID, Figure, page_layout, shown
from evalkit.report.verdicts.ladders import DISTANCE, without_number
from evalkit.report.wording import label


def kl_tradeoff(summary: Summary, metric: str) -> Figure | None:
    """Every arm at its KL from the baseline (right is further) and its quality or diversity (up is more).

    None where no arm but the baseline has both numbers.
    """
    better = effects.betters(summary)[metric]
    homes = {arm.baseline for arm in summary.arms}
    known = scatter.both_known(summary, DISTANCE, metric, summary.arms)
    if all(arm.name in homes for arm, _, _ in known):
        return None
    known.sort(key=lambda point: point[1].value or 0.0)
    across = scatter.reach([x for _, x, _ in known], "higher")
    upwards = scatter.reach([y for _, _, y in known], better)
    ways = _ways(known, homes)
    numbers = markers.numbers(summary)
    points = [scatter.path([point], numbers[point[0].name]) | {"showlegend": False} for point in known]
    words = figures.direction(effects.traits(summary)[metric].side)
    layout = page_layout(
        height=360,
        xaxis=_axis(f"{DISTANCE}, nats (further away →)", across),
        yaxis=_axis(f"{shown(label(metric))} ({words} →)", upwards),
    )
    return {"data": [*(scatter.joined(way, known) for way in ways), *points], "layout": layout}


def _ways(known: Sequence[scatter.Known], homes: set[str | None]) -> list[list[str]]:
    """From the baseline over the arms whose checkpoints' names differ only in a number, nearest first."""
    families = sorted({without_number(arm.checkpoint) for arm, _, _ in known if arm.name not in homes})
    return [
        [arm.name for arm, _, _ in known if arm.name in homes or without_number(arm.checkpoint) == family]
        for family in families
    ]


def _axis(title: str, ends: scatter.Ends) -> Figure:
    return GRID | {"title": {"text": title}, "automargin": True, "range": list(ends)}
