"""Measurements become the page: what the report needs to know, gathered from the run or the file of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.analysis.figure_data import FigureData
from evalkit.analysis.measure import Measurements
from evalkit.plumbing.arrays import finite_or_none
from evalkit.records import Groups, Summary
from evalkit.report.content.content import ReportContent, metric_text
from evalkit.report.page import build_report


def report_page(
    title: str,
    summary: Summary,
    groups: Groups,
    rendered: Mapping[str, Mapping[str, str]],
    measurements: Measurements,
    provenance: Mapping[str, Any],
    evidence: FigureData,
) -> bytes:
    """report.html, as UTF-8."""
    content = ReportContent(
        title=title,
        summary=summary,
        groups=groups,
        rendered=rendered,
        scores={
            score: {
                arm: [[finite_or_none(value) for value in array] for array in arrays] for arm, arrays in by_arm.items()
            }
            for score, by_arm in measurements.scores.items()
        },
        provenance=provenance,
        metrics={str(measure): metric_text(measure) for measure in measurements.measures},
        evidence=evidence,
    )
    return build_report(content).encode("utf-8", "replace")
