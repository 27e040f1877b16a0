"""Whose opinions a checkpoint gives: its distance to each group, whom tuning moved it towards, question by question."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.metrics.estimators.opinions import UNIFORM
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.prose import counted, listed, short
from evalkit.report.content.content import ReportContent
from evalkit.report.content.opinions import OpinionQuestion, opinion_questions
from evalkit.report.html.render import sentence
from evalkit.report.plots import figures, markers
from evalkit.report.plots.opinions import bars, exact_percent, moves, whole_percent
from evalkit.report.sections.tables import UNCLEAR
from evalkit.report.verdicts.opinions import (
    GroupDistance,
    called,
    group_distances,
    group_measures,
    opinion_claims,
)
from evalkit.report.wording import interval_text, label, p_text, value_text

LONGEST = 60
"""Characters of a question in the selector."""
BESIDES = ("opinion_wasserstein", "opinion_total_variation", "opinion_jensen_shannon")
"""What the table has beside the distance that is drawn, where the suite measures it."""
ORDER = "opinion_order_effect"
LARGE = 0.25
"""Share of answers moved by the order of choices from which a reader is warned."""
EVEN = 0.1
"""Distance from all choices alike below which a reader is told that distances to groups say little of the arm."""


@dataclass(frozen=True, slots=True)
class DistanceRow:
    """One arm and one group, in words."""

    arm: str
    group: str
    distance: str
    interval: str
    change: str
    """Against the baseline; empty for the baseline itself."""
    change_interval: str
    p: str
    mark: str
    besides: tuple[str, ...]
    """By each of the other measures that the page has."""


@dataclass(frozen=True, slots=True)
class OpinionsView:
    """All that the template prints."""

    lead: str
    says: tuple[str, ...]
    cautions: tuple[str, ...]
    """What makes these numbers less than they seem."""
    rows: tuple[DistanceRow, ...]
    besides: tuple[str, ...]
    options: tuple[str, ...]
    questions: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    """(question, its choices as cells: choice, each arm's share, each group's)."""
    columns: tuple[str, ...]
    is_drawn: bool


def opinions_view(content: ReportContent) -> OpinionsView | None:
    """None where no question of opinion was asked, or no arm answered one."""
    questions = opinion_questions(content)
    if not any(question.arms for question in questions):
        return None
    summary = content.summary
    besides = [measure for measure in BESIDES if group_measures(summary, measure)]
    columns = _columns(questions)
    return OpinionsView(
        lead=_lead(questions),
        says=tuple(opinion_claims(summary).values()),
        cautions=tuple(_cautions(summary, questions)),
        rows=tuple(_rows(summary, besides)),
        besides=tuple(label(measure) for measure in besides),
        options=tuple(short(f"{each.opinion.question}: {each.text}", LONGEST) for each in questions),
        questions=tuple((each.opinion.question, tuple(_cells(each, columns))) for each in questions),
        columns=tuple(columns),
        is_drawn=chart(summary) is not None,
    )


def chart(summary: Summary) -> figures.Figure | None:
    """A group a band, an arm a dot with an arrow from its baseline."""
    distances = group_distances(summary)
    return moves(summary, distances) if any(distances.values()) else None


def one_by_one(content: ReportContent) -> JSON:
    """For the selector: each question with its text, its figure and what it says; and which to show first."""
    questions = opinion_questions(content)
    if not any(question.arms for question in questions):
        return None
    numbers = markers.numbers(content.summary)
    baselines = {arm.name: arm.baseline for arm in content.summary.arms if arm.baseline}
    moved = [max((_apart(each, arm, of) for arm, of in baselines.items()), default=0.0) for each in questions]
    return {
        "first": moved.index(max(moved)),
        "prompts": [
            {"text": each.text, "says": sentence(of_question(each)), "figure": bars(each, numbers)}
            for each in questions
        ],
    }


def of_question(question: OpinionQuestion) -> str:
    """`base is nearest to Hillside (0.12) and tuned to Harbour (0.08).`"""
    parts: list[str] = []
    for arm in question.arms:
        near = [
            (distance, group)
            for group in (*question.opinion.groups, UNIFORM)
            if (distance := question.distance(arm.name, group)) is not None
        ]
        least, group = min(near)
        parts.append(f"{arm.name} {'' if parts else 'is nearest '}to {called(group)} ({least:.2f})")
    kind = "along the scale" if question.opinion.ordered else "share of other answers"
    return f"{listed(parts)}; distances {kind}." if parts else "No arm answered with one of the choices."


def _apart(question: OpinionQuestion, arm: str, baseline: str) -> float:
    """Total variation between two arms on a question."""
    by_name = {shares.name: shares.shares for shares in question.arms}
    if arm not in by_name or baseline not in by_name:
        return 0.0
    return sum(abs(a - b) for a, b in zip(by_name[arm], by_name[baseline], strict=True)) / 2


def _lead(questions: Sequence[OpinionQuestion]) -> str:
    ordered = sum(question.opinion.ordered for question in questions)
    groups = list(dict.fromkeys(group.name for question in questions for group in question.groups))
    kinds = f"{ordered} with choices on a scale, {len(questions) - ordered} without"
    people = f"and what {listed(groups)} answered to them" if groups else "and no group's answers to hold them against"
    return f"{counted(len(questions), 'question')} to which no answer is right ({kinds}), {people}."


def _cautions(summary: Summary, questions: Sequence[OpinionQuestion]) -> list[str]:
    said = [
        f"Of the answers of {estimate.arm} {whole_percent(estimate.value)} change with the order of the choices. So "
        "far it goes by letter and place; what the choices themselves say to it is what is left, and less sure."
        for estimate in summary.estimates
        if estimate.metric == ORDER and is_number(estimate.value) and estimate.value >= LARGE
    ]
    said += [
        f"On average over the questions {arm} answers nearly as if all choices were alike (distance "
        f"{value_text(each.estimate)}): how far it is from a group is mostly how far that group is from an even spread."
        for arm, distances in group_distances(summary).items()
        for each in distances
        if each.group == UNIFORM and is_number(each.estimate.high) and each.estimate.high < EVEN
    ]
    drawn = list(dict.fromkeys(arm.name for each in questions for arm in each.arms if not arm.is_exact))
    if drawn:
        draws = statistics.median(arm.draws for each in questions for arm in each.arms if not arm.is_exact)
        said.append(
            f"Answers of {listed(drawn)} were drawn and counted, {draws:g} a question. Chance alone puts them further "
            "from every group; a liking for a place, which is not taken out of counts, nearer to all choices alike."
        )
    return said


def _rows(summary: Summary, besides: Sequence[str]) -> list[DistanceRow]:
    others = {
        measure: {
            (arm, each.group): each.estimate for arm, of in group_distances(summary, measure).items() for each in of
        }
        for measure in besides
    }
    return [
        _row(arm, each, [others[measure].get((arm, each.group)) for measure in besides])
        for arm, distances in group_distances(summary).items()
        for each in distances
    ]


def _row(arm: str, distance: GroupDistance, besides: Sequence[Estimate | None]) -> DistanceRow:
    change: Difference | None = distance.difference
    marks = {"towards": "→ towards", "away": "← away", "": UNCLEAR}
    return DistanceRow(
        arm=arm,
        group=called(distance.group),
        distance=value_text(distance.estimate),
        interval=interval_text(distance.estimate),
        change=value_text(change, signed=True) if change else "",
        change_interval=interval_text(change) if change else "",
        p=p_text(change.p_adjusted).removeprefix("p ").removeprefix("= ") if change else "",
        mark=marks[distance.moved] if change else "",
        besides=tuple(
            f"{value_text(each)} ({interval_text(each)})" if each is not None and is_number(each.value) else "–"
            for each in besides
        ),
    )


def _columns(questions: Sequence[OpinionQuestion]) -> list[str]:
    arms = dict.fromkeys(arm.name for question in questions for arm in question.arms)
    groups = dict.fromkeys(group.name for question in questions for group in question.groups)
    return [*arms, *groups]


def _cells(question: OpinionQuestion, columns: Sequence[str]) -> list[tuple[str, ...]]:
    by_name = {shares.name: shares.shares for shares in (*question.groups, *question.arms)}
    return [
        (choice, *(exact_percent(by_name[name][index]) if name in by_name else "–" for name in columns))
        for index, choice in enumerate(question.opinion.choices)
    ]
