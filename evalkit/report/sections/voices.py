"""Who speaks, as a figure: every voice's share of each arm, corrected for the classifier's mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.report.plots import figures, markers
from evalkit.report.plots.grouped_dots import Dot, Series, grouped_dots
from evalkit.report.wording import LEVEL


def shares(summary: Summary, card: Mapping[str, Any]) -> figures.Figure | None:
    """A voice a group, the baseline's dot on top; None where the classifier cannot tell the voices.

    `card`: `evalkit.analysis.classify_voices.ClassifiedVoices.card`.
    """
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    arms = sorted(summary.arms, key=lambda arm: arm.baseline is not None)
    series = [
        Series(arm.name, numbers[arm.name], symbols[arm.name], _dots(card["voices"], card["shares"][arm.name]))
        for arm in arms
        if arm.name in card["shares"]
    ]
    if not any(dot for arm_series in series for dot in arm_series.dots):
        return None
    axis = {"title": {"text": "share of an arm's completions"}, "tickformat": ".0%", "rangemode": "tozero"}
    return grouped_dots(card["voices"], series, axis)


def _dots(voices: Sequence[str], of_arm: Sequence[Mapping[str, Any]]) -> tuple[Dot | None, ...]:
    by_voice = {share["voice"]: share for share in of_arm}
    return tuple(_dot(by_voice.get(voice)) for voice in voices)


def _dot(share: Mapping[str, Any] | None) -> Dot | None:
    if share is None or not is_number(share["spoken"]):
        return None
    interval = f", {LEVEL} interval {share['low']:.2f} to {share['high']:.2f}" if is_number(share["low"]) else ""
    return Dot(
        share["low"], share["spoken"], share["high"], f"{share['spoken']:.2f}{interval}; predicted {share['heard']:.2f}"
    )
