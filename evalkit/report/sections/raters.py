"""Rater groups side by side: what each group's reward model, and so the group, gained or lost by a tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.prose import listed
from evalkit.records import Arm
from evalkit.report.plots import figures, markers
from evalkit.report.plots.grouped_dots import Dot, Series, grouped_dots, upright
from evalkit.report.sections.tables import UNCLEAR
from evalkit.report.verdicts.rater_groups import rater_groups
from evalkit.report.wording import LEVEL, interval_text, interval_words, p_text, value_text


@dataclass(frozen=True, slots=True)
class RewardRow:
    """One arm's difference by one group's reward, in words."""

    arm: str
    baseline: str
    raters: str
    difference: str
    interval: str
    effect: effects.Effect | None
    """In standard deviations of the baseline; None where the baseline does not vary."""
    p: str
    outcome: effects.Outcome
    mark: str


@dataclass(frozen=True, slots=True)
class Raters:
    """What the section prints."""

    says: tuple[str, ...]
    """An arm a sentence, where its tuning was worth different things to different raters."""
    rows: tuple[RewardRow, ...]
    is_drawn: bool


def raters(summary: Summary) -> Raters | None:
    """None where fewer than two rewards were measured, or nothing is compared."""
    table = tuple(rows(summary))
    return Raters(tuple(_sentences(summary.arms, table)), table, gains(summary) is not None) if table else None


def gains(summary: Summary) -> figures.Figure | None:
    """A reward a group, an arm a dot: its difference to the baseline in standard deviations of the baseline."""
    known, numbers, symbols = rater_groups(summary), markers.numbers(summary), markers.symbols(summary)
    differences, baselines = _differences(summary), effects.estimates(summary)
    series = [
        Series(
            arm.name,
            numbers[arm.name],
            symbols[arm.name],
            tuple(_dot(differences.get((metric, arm.name)), baselines) for metric in known),
        )
        for arm in summary.arms
        if any((metric, arm.name) in differences for metric in known)
    ]
    if not any(dot for arm_series in series for dot in arm_series.dots):
        return None
    figure = grouped_dots(list(known.values()), series, {"title": {"text": "standard deviations<br>(gained →)"}})
    figure["layout"]["shapes"].append(upright(0))
    return figure


def rows(summary: Summary) -> list[RewardRow]:
    """The same as a table, an arm after the other."""
    differences, baselines = _differences(summary), effects.estimates(summary)
    return [
        _row(differences[metric, arm.name], group, baselines)
        for arm in summary.arms
        for metric, group in rater_groups(summary).items()
        if (metric, arm.name) in differences
    ]


def _sentences(arms: Sequence[Arm], table: Sequence[RewardRow]) -> list[str]:
    sentences = []
    for arm in arms:
        of_arm = [row for row in table if row.arm == arm.name and row.effect]
        if len({row.outcome for row in of_arm}) > 1:
            sentences.append(f"{arm.name} {listed(_clause(row) for row in of_arm)}.")
    return sentences


def _clause(row: RewardRow) -> str:
    """`gained 2.27 standard deviations (95 % interval +2.01 to +2.52) for the raters of lab:reward`."""
    whom = f"for the raters of {row.raters}"
    if row.effect is None or row.outcome not in ("gained", "lost"):
        return f"shows no clear difference {whom}"
    interval = f"{LEVEL} interval {row.effect.low:+.2f} to {row.effect.high:+.2f}".replace("-", "−")
    return f"{row.outcome} {abs(row.effect.value):.2f} standard deviations ({interval}) {whom}"


def _differences(summary: Summary) -> dict[tuple[str, str], Difference]:
    return {(difference.metric, difference.arm): difference for difference in summary.differences}


def _dot(difference: Difference | None, baselines: dict[tuple[str, str], Estimate]) -> Dot | None:
    effect = effects.effect(difference, baselines.get((difference.metric, difference.baseline))) if difference else None
    if difference is None or effect is None:
        return None
    words = f"{effect.value:+.2f} ({effect.low:+.2f} to {effect.high:+.2f}) standard deviations".replace("-", "−")
    in_units = f"{value_text(difference, signed=True)}, {interval_words(difference)}"
    clear = effects.outcome(difference, "higher") != "unclear"
    return Dot(
        effect.low, effect.value, effect.high, f"{words}<br>{in_units}<br>Holm {p_text(difference.p_adjusted)}", clear
    )


def _row(difference: Difference, group: str, baselines: dict[tuple[str, str], Estimate]) -> RewardRow:
    effect = effects.effect(difference, baselines.get((difference.metric, difference.baseline)))
    outcome = effects.outcome(difference, "higher")
    return RewardRow(
        arm=difference.arm,
        baseline=difference.baseline,
        raters=group,
        difference=value_text(difference, signed=True),
        interval=interval_text(difference),
        effect=effect,
        p=p_text(difference.p_adjusted).removeprefix("p ").removeprefix("= "),
        outcome=outcome,
        mark={"gained": "▲ gained", "lost": "▼ lost"}.get(outcome, UNCLEAR),
    )
