"""For which use each arm is the right one, in words: what the page prints and its slider shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import listed
from evalkit.report.content.content import ReportContent
from evalkit.report.sections.ranking import STEPS, BestOf, Part, Parts, RankedArm, best_of_all, parts, ranked, ranking
from evalkit.report.wording import interval_text, label, value_text

NAMED = 3
"""Tied arms that a card names; the section has them all."""


@dataclass(frozen=True, slots=True)
class UseCard:
    """One use and the arm that is right for it."""

    title: str
    wants: str
    weights: str
    best: str
    """The first arm, or those that cannot be told from it."""
    sentence: str


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """One measure in the report's own units."""

    name: str
    side: str
    unit: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankingView:
    """All that the template prints of it."""

    baseline: str
    cards: tuple[UseCard, ...]
    heads: tuple[str, ...]
    """Names of the columns after quality and diversity, one a card."""
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """(arm, (value, interval) of quality, diversity, and every card's score)."""
    arms: tuple[str, ...]
    scales: tuple[ScaleRow, ...]
    left_out: tuple[str, ...]
    is_form_alone: bool
    steps: int
    start: int
    """Where the slider stands first: at the first use."""


def ranking_view(content: ReportContent, baseline: str) -> RankingView | None:
    """None where quality and diversity were not both measured on two arms or more."""
    both_parts = parts(content.summary, baseline)
    if both_parts is None or len(content.summary.arms) < 2:
        return None
    arms = tuple(arm.name for arm in content.summary.arms)
    best_of = best_of_all(content, baseline)
    orders = [ranking(both_parts, use.quality) for use in both_parts.uses] + (
        [ranked(best_of.part.values, best_of.part.clusters)] if best_of else []
    )
    cards = [
        _card(use.name, use.wants, f"quality {use.quality:g}, diversity {use.diversity:.2g}", order)
        for use, order in zip(both_parts.uses, orders, strict=False)
    ] + ([_best_of_card(best_of, orders[-1])] if best_of else [])
    scores = [{ranked_arm.arm: ranked_arm.score for ranked_arm in order} for order in orders]
    scales = [*both_parts.quality.scales, *both_parts.diversity.scales, *(best_of.part.scales if best_of else ())]
    sides = ["quality"] * len(both_parts.quality.scales) + ["diversity"] * len(both_parts.diversity.scales)
    sides += [f"best of {best_of.k}"] * len(best_of.part.scales) if best_of else []
    return RankingView(
        baseline=baseline,
        cards=tuple(cards),
        heads=tuple(card.title for card in cards),
        rows=tuple(
            (arm, (*_part_cells(both_parts, arm), *((number(by_arm[arm]), "") for by_arm in scores))) for arm in arms
        ),
        arms=arms,
        scales=tuple(
            ScaleRow(label(scale.measure), side, f"{scale.unit:.3g}", tuple(number(scale.counted[arm]) for arm in arms))
            for scale, side in zip(scales, sides, strict=True)
        ),
        left_out=tuple(label(measure) for measure in both_parts.left_out),
        is_form_alone=both_parts.is_form_alone,
        steps=STEPS,
        start=round(both_parts.uses[0].quality * STEPS),
    )


def slider(content: ReportContent, baseline: str) -> JSON:
    """What the page shows at every step of the slider, from diversity alone to quality alone; empty without uses."""
    both_parts = parts(content.summary, baseline)
    if both_parts is None:
        return []
    orders = [ranking(both_parts, step / STEPS) for step in range(STEPS + 1)]
    return [
        {
            "weights": f"quality {step / STEPS:.2g}, diversity {1 - step / STEPS:.2g}",
            "sentence": sentence(order),
            "order": [
                {
                    "arm": ranked_arm.arm,
                    "score": round(ranked_arm.score, 4),
                    "text": number(ranked_arm.score),
                    "note": _note(ranked_arm),
                }
                for ranked_arm in order
            ],
        }
        for step, order in enumerate(orders)
    ]


def sentence(order: Sequence[RankedArm]) -> str:
    """`ppo-0.1 leads ppo-0.2 by 0.05 (0.02 to 0.08), clearly.`, or that some are tied with the first."""
    first, *others = order
    if not others:
        return f"{first.arm} stands alone."
    is_tied = others[0].is_tied
    lead = f"{first.arm} leads {others[0].arm} by {_lead(others[0])}, {'not clearly' if is_tied else 'clearly'}."
    return f"Tied: {lead}" if is_tied else lead


def number(value: float) -> str:
    """Two decimals, of which no zero has a sign."""
    rounded = round(value, 2) + 0.0
    return f"{rounded:.2f}".replace("-", "−")


def _card(name: str, wants: str, weights: str, order: Sequence[RankedArm]) -> UseCard:
    best = [ranked_arm.arm for ranked_arm in order if ranked_arm.behind is None or ranked_arm.is_tied]
    named = "no arm stands out" if len(best) == len(order) > 1 else _named(best)
    return UseCard(name, wants, weights, named, sentence(order))


def _named(best: Sequence[str]) -> str:
    return listed(best) if len(best) <= NAMED else f"{best[0]} and {len(best) - 1} others"


def _best_of_card(best_of: BestOf, order: Sequence[RankedArm]) -> UseCard:
    wants = f"of {best_of.k} samples the best is kept, as with a judge or a test at hand"
    scores = listed([label(scale.measure) for scale in best_of.part.scales])
    return _card("many samples", wants, f"best of {best_of.k} by {scores}", order)


def _lead(ranked_arm: RankedArm) -> str:
    if ranked_arm.behind is None:
        return ""
    interval = interval_text(ranked_arm.behind)
    return f"{value_text(ranked_arm.behind)} ({interval})" if interval else value_text(ranked_arm.behind)


def _note(ranked_arm: RankedArm) -> str:
    if ranked_arm.behind is None:
        return "first"
    return f"{'tied' if ranked_arm.is_tied else 'behind'}, {_lead(ranked_arm)}"


def _part_cells(both_parts: Parts, arm: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return _cell(both_parts.quality, arm), _cell(both_parts.diversity, arm)


def _cell(part: Part, arm: str) -> tuple[str, str]:
    mean = part.interval(arm)
    # The baseline is at 0 by definition.
    return (value_text(mean), interval_text(mean)) if mean.high > mean.low else (number(mean.value), "")
