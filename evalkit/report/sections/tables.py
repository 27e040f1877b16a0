"""Every metric of every arm as rows that the page prints: the table behind each chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from evalkit.analysis import effects
from evalkit.analysis.effects import Outcome
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted, listed
from evalkit.records import Better, Side, Variant
from evalkit.report.content.content import MetricText
from evalkit.report.wording import interval_text, label, p_text, unlike_fields, value_text

ARROWS: dict[Better, str] = {
    "higher": "↑ higher is better",
    "lower": "↓ lower is better",
    "neither": "no better direction",
}
DIVERSE: dict[Better, str] = {"higher": "↑ higher is more diverse", "lower": "↓ lower is more diverse"}
MARKS: dict[tuple[Side, Outcome], str] = {
    ("quality", "gained"): "▲ better",
    ("quality", "lost"): "▼ worse",
    ("diversity", "gained"): "▲ wider",
    ("diversity", "lost"): "▼ narrower",
    ("match", "gained"): "▲ nearer",
    ("match", "lost"): "▼ further",
    ("neither", "changed"): "◆ changed",
}
UNCLEAR = "no clear difference"
VARIANT_NAMES: dict[Variant, str] = {
    "whole": "all completions",
    "useful": "useful completions",
    "matched": "equal lengths",
    "pooled": "across prompts",
}


@dataclass(frozen=True, slots=True)
class Strip:
    """Where value and interval lie on the metric's common axis, in percent."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class DifferenceWords:
    """A difference to the baseline, in words."""

    baseline: str
    value: str
    interval: str
    p: str
    mark: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm."""

    arm: str
    value: str
    interval: str
    strip: Strip | None
    basis: str
    """On how many prompts it rests, in words."""
    samples: int
    is_baseline: bool
    difference: DifferenceWords | None


@dataclass(frozen=True, slots=True)
class VariantRow:
    """The same metric in another variant, an arm a cell: value, interval, difference, mark, outcome."""

    name: str
    signatures: tuple[str, ...]
    unlike: tuple[str, ...]
    cells: tuple[ArmRow | None, ...]
    """In the order of the plain table's rows."""


@dataclass(frozen=True, slots=True)
class MetricTable:
    """One measure over all arms."""

    metric: str
    name: str
    side: Side
    text: MetricText
    arrow: str
    signatures: tuple[str, ...]
    """One, unless the arms' numbers are not comparable."""
    unlike: tuple[str, ...]
    """For each way that is not the first arm's: which arms, and what is different."""
    reference: float | None
    """The baseline's value on the axis, in percent."""
    rows: tuple[ArmRow, ...]
    variants: tuple[VariantRow, ...] = ()


def tables(summary: Summary, texts: Mapping[str, MetricText]) -> tuple[MetricTable, ...]:
    """One table a measure, in the summary's order; a variant goes into the table of its plain form, if there is one."""
    every = {metric: _table(metric, better, summary, texts) for metric, better in effects.betters(summary).items()}
    plain = {metric: split_variant(metric)[1] for metric in every}
    heads = [metric for metric in every if effects.is_plain(metric) or plain[metric] not in every]
    return tuple(
        replace(every[metric], variants=tuple(_variant(every[metric], every[v]) for v in every if _belongs(v, metric)))
        for metric in heads
    )


def _belongs(variant: str, metric: str) -> bool:
    return variant != metric and split_variant(variant)[1] == metric


def _variant(plain: MetricTable, other: MetricTable) -> VariantRow:
    by_arm = {row.arm: row for row in other.rows}
    name = VARIANT_NAMES[split_variant(other.metric)[0]]
    return VariantRow(name, other.signatures, other.unlike, tuple(by_arm.get(row.arm) for row in plain.rows))


def estimates_csv(summary: Summary) -> str:
    """Estimates and differences as one sheet, for those who plot elsewhere."""
    out = io.StringIO()
    columns = [name.name for name in fields(Estimate) if name.name != "values"]
    compared = ["baseline", "difference", "difference_low", "difference_high", "p", "p_adjusted"]
    sheet = csv.writer(out, lineterminator="\n")
    sheet.writerow(columns + compared)
    differences = {(d.metric, d.arm): d for d in summary.differences}
    for estimate in summary.estimates:
        d = differences.get((estimate.metric, estimate.arm))
        sheet.writerow(
            [getattr(estimate, name) for name in columns]
            + ([d.baseline, d.value, d.low, d.high, d.p, d.p_adjusted] if d else [""] * len(compared))
        )
    return out.getvalue()


def _table(metric: str, better: Better, summary: Summary, texts: Mapping[str, MetricText]) -> MetricTable:
    order = {arm.name: index for index, arm in enumerate(summary.arms)}
    estimates = sorted((e for e in summary.estimates if e.metric == metric), key=lambda e: order.get(e.arm, len(order)))
    differences = {d.arm: d for d in summary.differences if d.metric == metric}
    side = effects.traits(summary)[metric].side
    ends = _ends(estimates)
    strips = {estimate.arm: _strip(estimate, ends) for estimate in estimates}
    baselines = {difference.baseline for difference in differences.values()}
    reference = strips.get(next(iter(baselines))) if len(baselines) == 1 else None
    return MetricTable(
        metric=metric,
        name=label(metric),
        side=side,
        text=texts.get(metric, MetricText(unit="", better=better, summary="")),
        arrow=(DIVERSE if side == "diversity" else ARROWS)[better],
        signatures=tuple(dict.fromkeys(estimate.signature for estimate in estimates)),
        unlike=_unlike(estimates),
        reference=reference.value if reference else None,
        rows=tuple(
            _row(e, strips[e.arm], e.arm in baselines, _difference_words(differences.get(e.arm), better, side))
            for e in estimates
        ),
    )


def _unlike(estimates: Sequence[Estimate]) -> tuple[str, ...]:
    arms: dict[str, list[str]] = {}
    for estimate in estimates:
        arms.setdefault(estimate.signature, []).append(estimate.arm)
    first, *others = arms or ("",)
    return tuple(f"{listed(arms[other])} ({unlike_fields(other, first)})" for other in others)


def _row(estimate: Estimate, strip: Strip | None, is_baseline: bool, difference: DifferenceWords | None) -> ArmRow:
    return ArmRow(
        arm=estimate.arm,
        value=value_text(estimate),
        interval=interval_text(estimate),
        strip=strip,
        basis=_basis(estimate),
        samples=estimate.samples,
        is_baseline=is_baseline,
        difference=difference,
    )


def _basis(estimate: Estimate) -> str:
    """`64 prompts`; `20 groups of prompts` where a variant across prompts has one value a group."""
    in_groups = split_variant(estimate.metric)[0] == "pooled" and "|groups:" in estimate.signature
    groups = counted(estimate.prompts, "group")
    return f"{groups} of prompts" if in_groups else counted(estimate.prompts, "prompt")


def _difference_words(difference: Difference | None, better: Better, side: Side) -> DifferenceWords | None:
    if difference is None:
        return None
    outcome = effects.outcome(difference, better)
    return DifferenceWords(
        baseline=difference.baseline,
        value=value_text(difference, signed=True),
        interval=interval_text(difference),
        p=p_text(difference.p_adjusted).removeprefix("p ").removeprefix("= "),
        mark=MARKS.get((side, outcome), UNCLEAR),
        outcome=outcome,
    )


def _ends(estimates: Sequence[Estimate]) -> tuple[float, float] | None:
    """The common axis of a metric's rows: no arm's interval is cut off."""
    numbers = [n for estimate in estimates for n in (estimate.low, estimate.value, estimate.high) if is_number(n)]
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    return (low, high) if high > low else (low - 1, high + 1)


def _strip(estimate: Estimate, ends: tuple[float, float] | None) -> Strip | None:
    value = estimate.value
    if ends is None or not is_number(value):
        return None
    low = estimate.low if is_number(estimate.low) else value
    high = estimate.high if is_number(estimate.high) else value
    # 4 to 96: a dot at the end of the axis is still whole.
    percents = [round(4 + 92 * (number - ends[0]) / (ends[1] - ends[0]), 2) for number in (low, value, high)]
    return Strip(*percents)
