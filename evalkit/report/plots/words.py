"""Words gained and lost as bars to either side: how many times as often, with the prior, and on how many prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.metrics.word_use import WordChange, WordShift
from evalkit.plumbing.prose import short
from evalkit.report.plots import figures, markers
from evalkit.report.wording import rate_text

BAR, FEET = 22, 96
"""Pixels of a bar, and of the axis with its title and the words above it."""
LONGEST = 30
"""Letters of a phrase beside its bar."""
ROOM = 1.8
"""Of the longest bar: behind it stand numbers, on a telephone too."""


def word_bars(change: WordChange, number: int, baseline_number: int) -> figures.Figure | None:
    """What is said more to the right in the arm's colour, what is said less to the left in the baseline's.

    Bars show how many times as often; the numbers at their ends on how many prompts, arm and then baseline.
    """
    shifts = (*change.gained, *change.lost)
    if not shifts:
        return None
    reach = ROOM * max(abs(shift.log_odds) for shift in shifts)
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [shift.log_odds for shift in shifts],
        "y": list(range(len(shifts))),
        "text": [f"{shift.prompts} · {shift.baseline_prompts}" for shift in shifts],
        "textposition": "outside",
        "textfont": {"size": 11, "color": "var(--muted)"},
        "cliponaxis": False,
        "customdata": [figures.shown(shift.phrase) for shift in shifts],
        "hovertext": [_hover(change, shift) for shift in shifts],
        "hoverinfo": "text",
        "marker": {"color": [markers.themed(number if shift.z > 0 else baseline_number) for shift in shifts]},
        "showlegend": False,
    }
    names = [figures.shown(short(_seen(shift.phrase), LONGEST)) for shift in shifts]
    rows = {
        "tickmode": "array",
        "tickvals": trace["y"],
        "ticktext": names,
        "range": [len(shifts) - 0.4, -0.6],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }
    layout = figures.page_layout(
        height=FEET + BAR * len(shifts),
        xaxis=figures.GRID | _ticks(reach) | {"range": [-reach, reach]},
        yaxis=rows,
        bargap=0.35,
        margin={"l": 8, "r": 24, "t": 36, "b": 36},
        shapes=[_middle()],
        annotations=[_side("← said less", 0, "left"), _side("said more →", 1, "right")],
    )
    return {"data": [trace], "layout": layout}


def times_text(log_odds: float) -> str:
    """`with the prior 2.4 times as often`; of what is said less the other way round.

    The prior draws it towards 1, so that it is less than the ratio of the two rates.
    """
    times = math.exp(abs(log_odds))
    number = f"{times:.0f}" if times >= 10 else f"{times:.1f}"
    return f"with the prior {number} times {'as often' if log_odds > 0 else 'less often'}"


def rates_text(shift: WordShift, baseline: str) -> str:
    """As counted: `2.0 per 1 000 words, base 0.20`."""
    return f"{rate_text(shift.per_thousand)} per 1 000 words, {baseline} {rate_text(shift.baseline_per_thousand)}"


def quoted(phrase: str) -> str:
    return f"“{phrase}”"


def _seen(phrase: str) -> str:
    """A sign alone would not be seen beside its bar."""
    return phrase if any(map(str.isalnum, phrase)) else quoted(phrase)


def _hover(change: WordChange, shift: WordShift) -> str:
    arm, baseline = figures.shown(change.arm), figures.shown(change.baseline)
    return (
        f"<b>{figures.shown(shift.phrase)}</b>, {times_text(shift.log_odds)}<br>"
        f"{arm}: on {shift.prompts} of {change.prompts} prompts, {rate_text(shift.per_thousand)} per 1 000 words<br>"
        f"{baseline}: on {shift.baseline_prompts}, {rate_text(shift.baseline_per_thousand)} per 1 000 words"
    )


def _ticks(reach: float) -> figures.Figure:
    """Few enough that they do not meet on a telephone."""
    steps: Sequence[int] = (2, 4) if reach < math.log(8) else (4, 16) if reach < math.log(64) else (10, 100)
    kept = [step for step in steps if math.log(step) <= reach]
    places = [-math.log(step) for step in reversed(kept)] + [0.0] + [math.log(step) for step in kept]
    texts = [f"÷{step}" for step in reversed(kept)] + ["as often"] + [f"×{step}" for step in kept]
    return {"tickmode": "array", "tickvals": places, "ticktext": texts, "tickangle": 0}


def _middle() -> figures.Figure:
    line = {"color": "var(--ink)", "width": 1}
    return {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _side(text: str, x: float, anchor: str) -> figures.Figure:
    place = {"x": x, "y": 1, "xref": "paper", "yref": "paper", "xanchor": anchor, "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"color": "var(--muted)", "size": 12}} | place
