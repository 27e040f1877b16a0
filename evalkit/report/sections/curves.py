"""Curves over k as figures, tables and words: what more samples of a prompt show, and where the baseline overtakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.analysis import effects
from evalkit.metrics.summary import Crossover, Curve, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted
from evalkit.records import Arm
from evalkit.report.plots import figures, markers
from evalkit.report.wording import LEVEL, is_point, label, number_text

TITLES = {
    "classes": "Different things said",
    "distinct_ngrams": "Different n-grams",
    "pass_at": "Right at least once (pass@k)",
    "best_of": "Best of k",
    "branching": "Next tokens that are open, along the answer",
}
MEANINGS = {
    "classes": "Expected number of different things said among k completions of one prompt.",
    "distinct_ngrams": "Expected number of different n-grams among k completions of one prompt.",
    "pass_at": "Chance that at least one of k completions of a prompt is right.",
    "best_of": "Expected score of the best of k completions of a prompt.",
    "branching": "How many next tokens are open to the model along its own answers, exp of their mean surprisal: "
    "where it falls early, the model has decided what it will say.",
}
OVER = {"branching": "token of the answer"}
"""What stands on the axis to the right, where it is not k."""
K = "k, completions of one prompt"
DODGE = 1.02
"""Factor between one arm's k and the next one's, so that their intervals stand beside each other."""
LABEL = 17
"""Pixels a line of text takes above the plot."""
DASHES = ("solid", "dash", "dot", "dashdot")
"""By temperature: the arms of one checkpoint share its colour."""


@dataclass(frozen=True, slots=True)
class CurveTable:
    """The numbers behind one figure."""

    title: str
    meaning: str
    signature: str
    over: str
    """What `ks` are."""
    ks: tuple[int, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """(arm, (value, interval) at each k)."""
    crossings: tuple[str, ...]


def over_k(summary: Summary) -> Summary:
    """The summary with those of its curves alone that rise with k."""
    return replace(summary, curves=tuple(curve for curve in summary.curves if curve.name not in OVER))


def curve_tables(summary: Summary) -> list[CurveTable]:
    """One a kind of curve and measure."""
    return [
        CurveTable(
            title=_title(same_kind[0]),
            meaning=MEANINGS.get(same_kind[0].name, ""),
            signature=same_kind[0].signature,
            over=OVER.get(same_kind[0].name, "k"),
            ks=same_kind[0].ks,
            rows=tuple((curve.arm, tuple(_cells(curve))) for curve in same_kind),
            crossings=tuple(
                _crossing(crossover, same_kind[0].ks[-1], summary)
                for crossover in summary.crossovers
                if _kind(crossover) == kind
            ),
        )
        for kind, same_kind in kinds(summary).items()
    ]


def curve_figures(summary: Summary) -> list[figures.Figure]:
    """In the same order: k to the right, a line an arm that has any number."""
    return [_figure(summary, same_kind) for same_kind in kinds(summary).values()]


def kinds(summary: Summary) -> dict[tuple[str, str], list[Curve]]:
    """First those in which the baseline overtakes for sure: that is what more samples are drawn for."""
    kinds: dict[tuple[str, str], list[Curve]] = {}
    for curve in summary.curves:
        kinds.setdefault(_kind(curve), []).append(curve)
    overtaken = {_kind(each) for each in summary.crossovers if _is_marked(each) and each.high is not None}
    return dict(sorted(kinds.items(), key=lambda kind: kind[0] not in overtaken))


def _kind(curve: Curve | Crossover) -> tuple[str, str]:
    return curve.name, curve.measure


def _title(curve: Curve) -> str:
    title = TITLES.get(curve.name, curve.name)
    if curve.name == "branching" or (curve.name == "classes" and "/" not in curve.measure.partition("|")[0]):
        return title
    # Of n-grams the measure is their order alone: `n:2`.
    said = curve.measure.replace(":", " ") if curve.name == "distinct_ngrams" else label(curve.measure)
    return f"{title}: {said}"


def _cells(curve: Curve) -> list[tuple[str, str]]:
    rows = zip(curve.values, curve.lows, curve.highs, strict=True)
    return [(number_text(value), _interval(low, high)) for value, low, high in rows]


def _interval(low: float | None, high: float | None) -> str:
    """Nothing where it is not known, or where equal values (one of one completion is one) would make it a point."""
    if not (is_number(low) and is_number(high)) or is_point(low, high):
        return ""
    return f"{number_text(low)} to {number_text(high)}"


def _crossing(crossover: Crossover, most: int, summary: Summary) -> str:
    """`most`: up to what k the curves go."""
    reach = counted(crossover.largest, "completion")
    level = f" With more than {reach} both are equal on every prompt." if crossover.largest < most else ""
    if not _is_told(crossover) or (_is_from_the_first(crossover) and _is_chance(crossover, summary)):
        whether = f"whether {crossover.baseline} is ahead of {crossover.arm}, nor from how many completions on"
        return f"It cannot be told {whether}.{level}"
    if crossover.k is None:
        words = f"{crossover.arm} is not overtaken by {crossover.baseline} within {reach}"
    elif crossover.k == 0:
        words = f"{crossover.baseline} is ahead of {crossover.arm} from the first completion on"
    else:
        words = f"{crossover.baseline} overtakes {crossover.arm} after about {crossover.k:.3g} completions"
    if crossover.low == crossover.high:
        return f"{words} ({LEVEL} of resamples say the same).{level}"
    ends = f"{_samples(crossover.low, crossover)} to {_samples(crossover.high, crossover)}"
    return f"{words} ({LEVEL} interval {ends}).{level}"


def _is_told(crossover: Crossover) -> bool:
    """Whether the interval leaves anything out: not where it reaches from the first completion to none of them."""
    return crossover.low != 0 or crossover.high is not None


def _is_from_the_first(crossover: Crossover) -> bool:
    """Whether the baseline is said to be ahead everywhere, and surely."""
    return crossover.k == crossover.low == crossover.high == 0


def _is_chance(crossover: Crossover, summary: Summary) -> bool:
    """Whether the page's own test of one completion's difference, corrected for all that it tests, is not clear."""
    betters = effects.betters(summary)
    return any(
        effects.outcome(difference, betters.get(difference.metric, "neither")) == "unclear"
        for difference in summary.differences
        if (difference.metric, difference.arm, difference.baseline)
        == (crossover.measure, crossover.arm, crossover.baseline)
    )


def _is_marked(crossover: Crossover) -> bool:
    return bool(crossover.k) and _is_told(crossover)


def _within(crossover: Crossover) -> str:
    if crossover.low == crossover.high:
        return ""
    return f" ({_samples(crossover.low, crossover)} to {_samples(crossover.high, crossover)})".replace(
        "more than ", "> "
    )


def _samples(k: float | None, crossover: Crossover) -> str:
    return f"more than {crossover.largest}" if k is None else "the first" if k == 0 else f"{k:.3g}"


def _figure(summary: Summary, same_kind: Sequence[Curve]) -> figures.Figure:
    curves = [curve for curve in same_kind if any(map(is_number, curve.values))] or same_kind
    numbers = markers.numbers(summary)
    arms = {arm.name: arm for arm in summary.arms}
    beside = [DODGE ** (index - (len(curves) - 1) / 2) for index in range(len(curves))]
    traces = [
        _line(curve, numbers[curve.arm], _dash(summary, arms[curve.arm]), aside)
        for curve, aside in zip(curves, beside, strict=True)
    ]
    x = figures.GRID | {
        "type": "log",
        "title": {"text": OVER.get(curves[0].name, K)},
        "tickmode": "array",
        "tickvals": list(curves[0].ks),
        "ticktext": [str(k) for k in curves[0].ks],
        "automargin": True,
    }
    y = figures.GRID | {"title": {"text": figures.shown(curves[0].unit)}, "automargin": True}
    crossed = [c for c in summary.crossovers if _kind(c) == _kind(curves[0]) and _is_marked(c)]
    marks = _marks(crossed, curves[0].ks[0], numbers)
    top = 36 + LABEL * len(crossed)
    layout = figures.page_layout(
        height=400 + top, xaxis=x, yaxis=y, margin={"l": 8, "r": 24, "t": top, "b": 8}, **marks
    )
    return {"data": traces, "layout": layout}


def _marks(crossed: Sequence[Crossover], first: int, numbers: dict[str, int]) -> figures.Figure:
    """Where the baseline overtakes an arm: a line at k*, a band for its interval, and a label above the plot."""
    shapes, labels = [], []
    for row, crossover in enumerate(crossed):
        assert crossover.k is not None
        colour = markers.themed(numbers[crossover.arm])
        low = max(crossover.low or first, first)
        high = crossover.largest if crossover.high is None else max(crossover.high, first)
        upright = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
        band = {"type": "rect", "x0": low, "x1": high, "fillcolor": colour, "opacity": 0.1, "line": {"width": 0}}
        line = {
            "type": "line",
            "x0": crossover.k,
            "x1": crossover.k,
            "line": {"color": colour, "width": 2, "dash": "dash"},
        }
        shapes += [band | upright, line | upright]
        labels.append({
            "text": f"{figures.shown(crossover.arm)} is overtaken at k* ≈ {crossover.k:.3g}{_within(crossover)}",
            # At the left, where it fits on a narrow screen too; its number says which line is meant.
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "yshift": LABEL * (len(crossed) - 1 - row),
            "showarrow": False,
            "font": {"color": colour, "size": 12},
        })  # fmt: skip
    return {"shapes": shapes, "annotations": labels}


def _line(curve: Curve, number: int, dash: str, aside: float) -> figures.Figure:
    points = list(zip(curve.lows, curve.values, curve.highs, strict=True))
    step = OVER.get(curve.name, "k =")
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": figures.shown(curve.arm),
        "x": [k * aside for k in curve.ks],
        "y": list(curve.values),
        "error_y": figures.bars(points) | {"color": markers.themed(number)},
        "hovertext": [
            f"<b>{figures.shown(curve.arm)}</b>, {step} {k}<br>{value}"
            + (f", {LEVEL} interval {interval}" if interval else "")
            for k, (value, interval) in zip(curve.ks, _cells(curve), strict=True)
        ],
        "hoverinfo": "text",
        "marker": {"color": markers.themed(number), "size": 7, "symbol": markers.symbol(number)},
        "line": {"color": markers.themed(number), "width": 1.5, "dash": dash},
    }


def _dash(summary: Summary, arm: Arm) -> str:
    siblings = [other.name for other in summary.arms if other.checkpoint == arm.checkpoint]
    return DASHES[siblings.index(arm.name) % len(DASHES)]
