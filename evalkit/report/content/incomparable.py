"""Measures of several runs that do not compare: which, of which arms and why, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evalkit.metrics.registry import VARIANT_WORDS, split_variant
from evalkit.metrics.summary import Estimate
from evalkit.plumbing.prose import listed
from evalkit.records import Arm, Variant
from evalkit.report.wording import label, unlike_fields

NAMED = 3
"""Measures of one variant that a note names one by one."""


def unlike(estimates: Sequence[Estimate], arms: Sequence[Arm]) -> list[str]:
    """Metrics that were measured in other ways than the baseline's: which, of which arms, and what is different."""
    baselines = {arm.name: arm.baseline for arm in arms}
    by_arm = {(estimate.metric, estimate.arm): estimate for estimate in estimates}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for estimate in estimates:
        other = by_arm.get((estimate.metric, baselines[estimate.arm] or estimate.arm))
        if other is None:
            why = f"{baselines[estimate.arm]} has no such number"
        elif other.signature != estimate.signature:
            why = unlike_fields(estimate.signature, other.signature)
        else:
            continue
        by_reason.setdefault((estimate.arm, why), []).append(estimate.metric)
    by_metrics: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for (arm, why), metrics in by_reason.items():
        by_metrics.setdefault(tuple(metrics), {}).setdefault(why, []).append(arm)
    return [
        f"Shown, but not compared, because they were measured in another way: {named_together(metrics)} of "
        f"{listed(f'{listed(arm_names)} ({why})' for why, arm_names in arms_by_reason.items())}."
        for metrics, arms_by_reason in by_metrics.items()
    ]


def named_together(metrics: Iterable[str]) -> str:
    """By name; many of one variant together, as a suite asks for them together."""
    variants: dict[Variant, list[str]] = {}
    for metric in metrics:
        variants.setdefault(split_variant(metric)[0], []).append(metric)
    return listed(
        words
        for variant, same_variant in variants.items()
        for words in (
            [f"the {VARIANT_WORDS[variant]} variants of {len(same_variant)} measures"]
            if variant != "whole" and len(same_variant) > NAMED
            else map(label, same_variant)
        )
    )
