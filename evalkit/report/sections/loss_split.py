"""What was lost, split: a waterfall an arm, by the measure that is picked, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import LossPart, LossSplit, Share, Summary
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.report.html.render import sentence
from evalkit.report.plots import figures
from evalkit.report.verdicts.loss_split import (
    FORM_ALONE,
    all_sentences,
    at_equal_length,
    divides,
    is_form_alone,
    is_lost,
    tells_apart,
)
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.wording import interval_text, interval_words, label, number_text, p_text, value_text

LANE, GAP, FEET = 20, 18, 108
"""Pixels: a bar, the room between two arms, and legend and axis together."""
PARTS = ("bad answers add less", "narrower among good answers", "lost in all")
COLOURS = ("var(--unclear)", "var(--lost)", "rgba(0,0,0,0)")
"""Fill of each part's bars; the sum of both is hollow."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One arm by one measure, in words; each of the parts with its interval."""

    measure: str
    arm: str
    baseline: str
    cells: tuple[tuple[str, str], ...]
    """(value, interval) of the loss, its two parts, and the share of the first."""
    bad: str
    """Shares of bad answers of baseline and arm."""
    prompts: str
    signature: str


@dataclass(frozen=True, slots=True)
class SplitView:
    """What the template prints."""

    options: tuple[str, ...]
    """Measures to pick from."""
    bar: str
    caution: str
    """What must be known of that bar."""
    rows: tuple[SplitRow, ...]


def split_view(summary: Summary) -> SplitView | None:
    """None where nothing was split."""
    if not summary.splits:
        return None
    bar = summary.bar
    good = f"{label(bar.measure)} of at least {number_text(bar.at_least)} ({bar.source})" if bar else ""
    return SplitView(
        options=tuple(label(metric) for metric in _metrics(summary)),
        bar=good,
        caution=FORM_ALONE if is_form_alone(bar) else "",
        rows=tuple(_row(split) for metric in _metrics(summary) for split in _of(summary, metric)),
    )


def one_by_one(summary: Summary) -> JSON:
    """For the selector: each measure with what it counts, its figure and what it says.

    First is one whose loss divides, and is there among completions of equal length too. No figure where none is split.
    """
    if not summary.splits:
        return None
    traits, metrics = effects.traits(summary), _metrics(summary)
    clear = [
        any(is_lost(split) and divides(split) and not at_equal_length(split, summary) for split in _of(summary, metric))
        for metric in metrics
    ]
    return {
        "first": clear.index(True) if any(clear) else 0,
        "prompts": [
            {
                "text": named(metric, traits.get(metric, Traits())),
                "says": [sentence(said) for said in all_sentences(_of(summary, metric), summary)],
                "figure": waterfall(split) if (split := [*filter(tells_apart, _of(summary, metric))]) else None,
            }
            for metric in metrics
        ],
    }


def waterfall(splits: Sequence[LossSplit]) -> figures.Figure:
    """An arm three bars: the first part from 0, the second from where that ends, and both together from 0."""
    lane = LANE / (3 * LANE + GAP)
    traces = [_bars(place, splits, (place - 1) * lane, lane) for place in range(len(PARTS))]
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    layout = figures.page_layout(
        height=FEET + (3 * LANE + GAP) * len(splits),
        barmode="overlay",
        xaxis=figures.GRID | {"automargin": True, "title": {"text": _axis(splits)}},
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(splits))),
            "ticktext": [figures.shown(split.arm) for split in splits],
            "range": [len(splits) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
        },
        shapes=[zero | {"line": {"color": "var(--ink)", "width": 1}}],
        legend=figures.LEGEND_ABOVE | {"traceorder": "normal"},
    )
    return {"data": traces, "layout": layout}


def _axis(splits: Sequence[LossSplit]) -> str:
    return f"{figures.shown(label(splits[0].metric))} (lost →)"


def _bars(place: int, splits: Sequence[LossSplit], offset: float, lane: float) -> figures.Figure:
    parts = [(split.quality_control, split.narrowing, split.total)[place] for split in splits]
    starts = [split.quality_control.value if place == 1 else 0.0 for split in splits]
    lengths = [part.value for part in parts]
    ends = [(part.low, part.value, part.high) for part in parts]
    return {
        "type": "bar",
        "orientation": "h",
        "name": PARTS[place],
        "base": starts,
        "x": lengths,
        "y": [row + offset for row in range(len(splits))],
        "width": 0.86 * lane,
        "marker": {"color": COLOURS[place], "opacity": 0.8, "line": {"color": "var(--ink)", "width": int(place == 2)}},
        "error_x": figures.bars(ends) | {"color": "var(--ink)", "width": 3},
        "hovertext": [
            f"<b>{figures.shown(split.arm)}</b>, {PARTS[place]}<br>{_part_words(part)}"
            for split, part in zip(splits, parts, strict=True)
        ],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _part_words(part: LossPart) -> str:
    p = p_text(part.p_adjusted)
    return f"{value_text(part, signed=True)}, {interval_words(part)}" + (f"<br>Holm {p}" if p else "")


def _metrics(summary: Summary) -> list[str]:
    """First what a reader can picture."""
    traits = effects.traits(summary)
    metrics = dict.fromkeys(split.metric for split in summary.splits)
    return sorted(metrics, key=lambda metric: pictured(traits.get(metric, Traits())))


def _of(summary: Summary, metric: str) -> list[LossSplit]:
    """Of one measure, measured alike."""
    splits = [split for split in summary.splits if split.metric == metric]
    return [split for split in splits if split.signature == splits[0].signature]


def _row(split: LossSplit) -> SplitRow:
    parts = (split.total, split.quality_control, split.narrowing)
    cells = [(value_text(part, signed=True), interval_text(part)) for part in parts]
    total = split.prompts + split.left_out
    return SplitRow(
        label(split.metric),
        split.arm,
        split.baseline,
        (*cells, _share(split.share)),
        " → ".join(_percent(share) for share in (split.baseline_bad, split.arm_bad)),
        f"{split.prompts:,} of {total:,}",
        split.signature,
    )


def _percent(share: float | None) -> str:
    return f"{share:.0%}".replace("%", " %") if is_number(share) else "–"


def _share(share: Share | None) -> tuple[str, str]:
    if share is None or not is_number(share.value):
        return "–", ""
    value, low, high = (f"{round(100 * number)}".replace("-", "−") for number in (share.value, share.low, share.high))
    return f"{value} %", f"{low} to {high} %"
