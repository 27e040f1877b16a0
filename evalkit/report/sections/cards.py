"""The cards: what was gained, what was lost, what is left where arms are equally good; the most important only.

A ladder or a sweep has one set of cards, with the numbers of its first and its last arm; a measure that some of its
arms gain and others lose has a card of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.analysis import effects
from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Difference, Reading, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.report.sections.temperature_sweeps import range_of
from evalkit.report.verdicts.findings import Finding
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.verdicts.sweeps import sweeps
from evalkit.report.verdicts.verdict import ArmVerdict, Verdict
from evalkit.report.wording import interval_text, label, value_text

SHOWN = 3
"""Rows of a card that are not folded away."""
Kind = Literal["gained", "lost", "mixed"]
TITLES: dict[Kind, tuple[str, str]] = {
    "gained": ("Gained", "Nothing clearly improved."),
    "lost": ("Lost", "Nothing was clearly lost."),
    "mixed": ("Gained in some, lost in others", ""),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm's difference to the baseline."""

    arm: str
    value: str
    interval: str
    is_clear: bool
    is_defined: bool

    @property
    def beside(self) -> str:
        """What stands beside a value: its interval if it has one, and whether it is unclear."""
        unclear = "not clear" if self.is_defined and not self.is_clear else ""
        return ", ".join(filter(None, (self.interval, unclear)))


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure."""

    metric: str
    plain: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """Measures with the same outcome."""

    kind: Kind
    title: str
    nothing: str
    shown: tuple[MeasureRow, ...]
    folded: tuple[MeasureRow, ...]


@dataclass(frozen=True, slots=True)
class Cards:
    """What one arm, or a ladder or sweep as a whole, gained and lost against its baseline."""

    arms: str
    baseline: str
    cards: tuple[Card, ...]
    unclear: tuple[MeasureRow, ...]
    undefined: tuple[MeasureRow, ...]
    """Measures whose difference no arm has: nothing is known of them."""
    changed: tuple[MeasureRow, ...]
    """Clear differences in measures that have no better direction."""
    silent: tuple[str, ...]
    """Measures that have no say in any arm."""


@dataclass(frozen=True, slots=True)
class Equal:
    """What is left of a gap where arms are equally good."""

    quality_filtered: tuple[MeasureRow, ...]
    """Diversity among useful completions, equally many of each arm."""
    sweeps: tuple[str, ...]
    """What sweeps over temperature say where both reach the same quality."""
    is_swept: bool
    """Whether a checkpoint was drawn from at several temperatures."""
    has_quality: bool
    """Whether the suite says which score tells what is good."""


def cards_of(conclusion: Verdict) -> Cards:
    """The cards of the headline: of its ladder, its sweep or its arm."""
    by_name = {arm.arm: arm for arm in conclusion.arms}
    return _cards([by_name[name] for name in conclusion.about])


def arm_cards(arm: ArmVerdict) -> Cards:
    """Those of one arm alone."""
    return _cards([arm])


def equal_quality(summary: Summary, conclusion: Verdict) -> Equal:
    """Of the headline's arms, the measures of diversity that a reader can picture; the rest is in the tables."""
    ends = _ends([conclusion.about[0], conclusion.about[-1]])
    filtered = [d for d in summary.differences if d.arm in ends and split_variant(d.metric)[0] == "useful"]
    directed = {metric for metric, better in effects.betters(summary).items() if better != "neither"}
    traits = effects.traits(summary)
    metrics = _most_telling([d.metric for d in filtered if d.metric in directed], traits)
    return Equal(
        tuple(
            _quality_filtered_row(
                metric, _of(metric, traits), [d for end in ends for d in filtered if (d.arm, d.metric) == (end, metric)]
            )
            for metric in metrics
        ),
        tuple(_reading(reading, _of(reading.metric, traits)) for reading in _pair_readings(summary)),
        is_swept=bool(sweeps(summary)),
        has_quality=summary.bar is not None,
    )


def _cards(arms: Sequence[ArmVerdict]) -> Cards:
    every: dict[str, list[tuple[str, Finding]]] = {}
    for arm in arms:
        for finding in arm.findings:
            every.setdefault(finding.difference.metric, []).append((arm.arm, finding))
    ordered = sorted(every.values(), key=_importance)
    kinds = {
        kind: [findings for findings in ordered if _kind(findings) == kind]
        for kind in (*TITLES, "unclear", "undefined", "changed")
    }
    ends = _ends([arms[0].arm, arms[-1].arm])
    rows = {kind: tuple(_row(findings, ends) for findings in measures) for kind, measures in kinds.items()}
    return Cards(
        arms=" to ".join(ends),
        baseline=" to ".join(_ends([arms[0].baseline, arms[-1].baseline])),
        cards=tuple(
            Card(kind, title, nothing, rows[kind][:SHOWN], rows[kind][SHOWN:])
            for kind, (title, nothing) in TITLES.items()
            if nothing or rows[kind]
        ),
        unclear=rows["unclear"],
        undefined=rows["undefined"],
        changed=rows["changed"],
        silent=tuple(named(metric, Traits()) for metric in arms[0].silent if all(metric in arm.silent for arm in arms)),
    )


def _kind(findings: Sequence[tuple[str, Finding]]) -> str:
    outcomes = {finding.outcome for _, finding in findings}
    if {"gained", "lost"} <= outcomes:
        return "mixed"
    if not any(is_number(finding.difference.value) for _, finding in findings):
        return "undefined"
    return next((kind for kind in ("gained", "lost", "changed") if kind in outcomes), "unclear")


def _importance(findings: Sequence[tuple[str, Finding]]) -> tuple[float, float]:
    """What a reader can picture first, then what moved most in the last arm."""
    _, finding = findings[-1]
    return pictured(finding.traits), -(finding.size or 0.0)


def _row(findings: Sequence[tuple[str, Finding]], ends: Sequence[str]) -> MeasureRow:
    finding = findings[-1][1]
    cells = [
        Cell(arm, f.value, f.interval, f.outcome != "unclear", is_number(f.difference.value)) for arm, f in findings
    ]
    at_the_ends = tuple(cell for cell in cells if cell.arm in ends)
    # What is clear in between alone would stand there without its reason.
    is_between = any(cell.is_clear for cell in cells) and not any(cell.is_clear for cell in at_the_ends)
    return MeasureRow(finding.difference.metric, finding.plain, tuple(cells) if is_between else at_the_ends)


def _ends(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _of(metric: str, traits: Mapping[str, Traits]) -> Traits:
    """Those of the metric; a difference whose estimates are not there has none."""
    return traits.get(metric, Traits())


def _most_telling(metrics: Sequence[str], traits: Mapping[str, Traits]) -> list[str]:
    return sorted(dict.fromkeys(metrics), key=lambda metric: pictured(_of(metric, traits)))[:SHOWN]


def _quality_filtered_row(metric: str, traits: Traits, differences: Sequence[Difference]) -> MeasureRow:
    return MeasureRow(
        metric,
        named(metric, traits),
        tuple(
            Cell(
                d.arm,
                value_text(d, signed=True),
                interval_text(d),
                is_number(d.p_adjusted) and d.p_adjusted < effects.ALPHA,
                is_number(d.value),
            )
            for d in differences
        ),
    )


def _pair_readings(summary: Summary) -> list[Reading]:
    """Of every pair of checkpoints its gap in the diversity that is easiest to picture, at equal quality."""
    traits = effects.traits(summary)
    chosen: dict[tuple[str, str], Reading] = {}
    for reading in summary.readings:
        pair = reading.checkpoint, reading.baseline
        if _of(reading.at_equal, traits).side != "quality":
            continue
        if pair not in chosen or pictured(_of(reading.metric, traits)) < pictured(_of(chosen[pair].metric, traits)):
            chosen[pair] = reading
    return list(chosen.values())


def _reading(reading: Reading, traits: Traits) -> str:
    if not is_number(reading.value):
        return f"{reading.checkpoint} and {reading.baseline} reach no common {label(reading.at_equal)}."
    interval = interval_text(reading)
    gap = f"{named(reading.metric, traits)} {value_text(reading, signed=True)}"
    return (
        f"{reading.checkpoint} against {reading.baseline}: {gap}"
        f"{f' ({interval})' if interval else ''} at equal {label(reading.at_equal)}, {range_of(reading)}."
    )
