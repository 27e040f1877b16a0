"""Prompt information for made-up runs: how much each arm's answers depend on their question."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from evalkit.report.content.content import ReportContent
from tests.report.example import difference, estimate


def with_information(content: ReportContent, told: Mapping[str, float]) -> ReportContent:
    """The run with arms that tell so many nats on average; those that are not named have no number."""
    summary = content.summary
    found = {}
    for turn, (arm, nats) in enumerate(told.items()):
        # Each arm has a spread of its own: differences that are the same on every prompt would have none.
        values = [nats + 0.1 * (row % 5 - 2) + 0.03 * turn * (row % 3 - 1) for row in range(len(summary.prompts))]
        found[arm] = estimate("prompt_information", arm, list(values), "neither")
    homes = {arm.name: arm.baseline for arm in summary.arms}
    compared = [difference(found[arm], found[home], 2) for arm in found if (home := homes[arm]) in found and home]
    return dataclasses.replace(
        content,
        summary=dataclasses.replace(
            summary,
            estimates=(*summary.estimates, *found.values()),
            differences=(*summary.differences, *compared),
        ),
    )
