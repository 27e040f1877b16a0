"""Measurements become a report: what it needs to know, taken from the run or the texts, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.analysis.figure_data import FigureData
from evalkit.analysis.measure import Measurements
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.plumbing.lazily import Mapped
from evalkit.plumbing.progress import Listener
from evalkit.records import Groups
from evalkit.report.content.asked_people import with_people_if_readable
from evalkit.report.content.content import ReportContent, Scores, metric_text
from evalkit.report.html.page_file import page_bytes
from evalkit.report.page import build_report


def report_page(
    title: str,
    summary: Summary,
    groups: Groups,
    rendered: Mapping[str, Mapping[str, str]],
    measurements: Measurements,
    provenance: Mapping[str, Any],
    figure_data: FigureData,
    folder: Path,
    tell: Listener,
) -> bytes:
    """report.html, as UTF-8; `folder`: the run's, where answers of people may lie from before."""
    content = report_content(title, summary, groups, rendered, measurements, provenance, figure_data)
    return page_bytes(build_report(with_people_if_readable(content, folder, tell), tell))


def report_content(
    title: str,
    summary: Summary,
    groups: Groups,
    rendered: Mapping[str, Mapping[str, str]],
    measurements: Measurements,
    provenance: Mapping[str, Any],
    figure_data: FigureData,
) -> ReportContent:
    """What the report of these measurements shows."""
    return ReportContent(
        title=title,
        summary=summary,
        groups=groups,
        rendered=rendered,
        scores=_scores(measurements),
        provenance=provenance,
        metrics={str(measure): metric_text(measure) for measure in measurements.measures},
        figure_data=figure_data,
    )


def _scores(measurements: Measurements) -> Scores:
    return {
        score: {arm: Mapped(by_prompt, _finite) for arm, by_prompt in by_arm.items()}
        for score, by_arm in measurements.scores.items()
    }


def _finite(index: int, values: Array) -> list[float | None]:
    return [finite_or_none(value) for value in values]
