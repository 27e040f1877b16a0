"""Measurements become the page: what the report needs to know, gathered from the run or the file of texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evalkit.evidence import Evidence
from evalkit.measure import Measure
from evalkit.measuring import Groups, Measurements
from evalkit.records import Summary
from evalkit.report.build import build_report
from evalkit.report.content import MetricText, ReportContent


def report_page(
    title: str,
    summary: Summary,
    groups: Groups,
    rendered: Mapping[str, Mapping[str, str]],
    measurements: Measurements,
    provenance: Mapping[str, Any],
    evidence: Evidence,
) -> bytes:
    """report.html, as UTF-8."""
    content = ReportContent(
        title=title,
        summary=summary,
        groups=groups,
        rendered=rendered,
        scores={
            score: {
                arm: [[None if math.isnan(value) else float(value) for value in array] for array in arrays]
                for arm, arrays in by_arm.items()
            }
            for score, by_arm in measurements.scores.items()
        },
        provenance=provenance,
        metrics={str(measure): metric_text(measure) for measure in measurements.measures},
        evidence=evidence,
    )
    return build_report(content).encode("utf-8", "replace")


def metric_text(measure: Measure) -> MetricText:
    """What the report says of a measure."""
    told = measure.definition
    return MetricText(unit=told.unit, better=told.better, summary=told.summary, cites=told.cites)
