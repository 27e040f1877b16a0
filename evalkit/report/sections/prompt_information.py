"""Whether answers still depend on the question: prompt information beside diversity, a point and a row for each arm."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import listed
from evalkit.report.plots import figures, markers, scatter
from evalkit.report.sections.overview import easiest
from evalkit.report.verdicts.joint import Joints
from evalkit.report.verdicts.prompt_information import Dependence, dependences, measured_in, prompts_compared, sentences
from evalkit.report.wording import interval_text, label, value_text

HEIGHT = 400
Cell = tuple[str, str]
"""A number and its interval."""


@dataclass(frozen=True, slots=True)
class Row:
    """One arm."""

    arm: str
    diversity: Cell
    diversity_change: Cell
    information: Cell
    information_change: Cell


@dataclass(frozen=True, slots=True)
class PromptInformationView:
    """What the template prints."""

    says: tuple[str, ...]
    diversity: str
    """The measure of diversity beside it, which a reader can picture best; empty where there is none."""
    compared: int
    """Prompts that an answer is read after, its own among them."""
    most: str
    rows: tuple[Row, ...]
    is_drawn: bool
    signature: str


def prompt_information_view(summary: Summary, joints: Joints) -> PromptInformationView | None:
    """None where no arm has prompt information."""
    measure = measured_in(summary)
    if measure is None:
        return None
    beside = _beside(summary)
    found = dependences(summary, joints)
    estimates = effects.estimates(summary)
    arms = [arm.name for arm in summary.arms if is_number(_value(estimates.get((measure, arm.name))))]
    return PromptInformationView(
        says=(*sentences(found), *_at_the_top(found)),
        diversity=label(beside) if beside else "",
        compared=prompts_compared(summary, measure),
        most=f"{math.log(prompts_compared(summary, measure)):.2f}",
        rows=tuple(_row(arm, measure, beside, summary) for arm in arms),
        is_drawn=chart(summary) is not None,
        signature=next(estimate.signature for estimate in summary.estimates if estimate.metric == measure),
    )


def chart(summary: Summary) -> figures.Figure | None:
    """Every arm at its diversity and its prompt information, up to a line at all that could be told."""
    measure, beside = measured_in(summary), _beside(summary)
    if measure is None or beside is None:
        return None
    known, numbers = scatter.both_known(summary, beside, measure, summary.arms), markers.numbers(summary)
    if not known:
        return None
    most = math.log(prompts_compared(summary, measure))
    ends = [end for _, _, y in known for end in (y.low, y.value, y.high) if is_number(end)]
    across = scatter.reach([x for _, x, _ in known], effects.betters(summary)[beside])
    points = [scatter.path([point], numbers[point[0].name]) | {"showlegend": False} for point in known]
    layout = figures.page_layout(
        height=HEIGHT,
        xaxis=_axis(f"{figures.shown(label(beside))} (more diverse →)", list(across)),
        yaxis=_axis("prompt information, nats", [min(0.0, *ends) - 0.05 * most, max(most, *ends) + 0.12 * most]),
        shapes=[_line(most)],
        annotations=[_line_words(most)],
    )
    return {"data": points, "layout": layout}


def _beside(summary: Summary) -> str | None:
    measures = figures.plottable(summary, "diversity")
    return measures[easiest(measures, summary)] if measures else None


def _value(estimate: Estimate | None) -> float | None:
    return estimate.value if estimate else None


def _row(arm: str, measure: str, beside: str | None, summary: Summary) -> Row:
    estimates = effects.estimates(summary)
    differences = {(difference.metric, difference.arm): difference for difference in summary.differences}
    return Row(
        arm,
        _cell(estimates.get((beside or "", arm))),
        _change(differences.get((beside or "", arm))),
        _cell(estimates.get((measure, arm))),
        _change(differences.get((measure, arm))),
    )


def _cell(estimate: Estimate | None) -> Cell:
    return (value_text(estimate), interval_text(estimate)) if estimate else ("", "")


def _change(difference: Difference | None) -> Cell:
    return (value_text(difference, signed=True), interval_text(difference)) if difference else ("", "")


def _at_the_top(found: list[Dependence]) -> list[str]:
    """What must be said where there is no room above."""
    full = [one.estimate.arm for one in found if one.is_full]
    if not full:
        return []
    return [
        f"Answers of {listed(full)} and of the baseline tell nearly all that can be told of so few prompts: how far "
        "they are apart in this could not be seen. More `others` would show more."
    ]


def _axis(title: str, ends: list[float]) -> figures.Figure:
    return figures.GRID | {"title": {"text": title}, "automargin": True, "range": ends}


def _line(most: float) -> figures.Figure:
    line = {"color": "var(--muted)", "width": 1.5, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": most, "y1": most, "line": line}


def _line_words(most: float) -> figures.Figure:
    place = {"xref": "paper", "x": 0, "y": most, "xanchor": "left", "yanchor": "bottom", "showarrow": False}
    return place | {"text": f"all that can be told: {most:.2f}", "font": {"color": "var(--muted)", "size": 12}}
