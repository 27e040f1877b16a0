"""Scores and metric values as rows of tables: scores.parquet and metrics.parquet."""

from __future__ import annotations

from typing import Any

from evalkit.analysis.measure import Measurements
from evalkit.metrics.summary import Summary
from evalkit.records import Groups


def score_rows(groups: Groups, measurements: Measurements) -> dict[str, list[Any]]:
    """Column -> cells: a row a score and completion."""
    rows: dict[str, list[Any]] = {"arm": [], "prompt_id": [], "slot": [], "score": [], "value": []}
    for score, by_arm in measurements.scores.items():
        for arm, arrays in by_arm.items():
            for group, array in zip(groups[arm], arrays, strict=True):
                for completion, value in zip(group.completions, array, strict=True):
                    for key, cell in zip(
                        rows, (arm, completion.prompt_id, completion.sample_index, score, value), strict=True
                    ):
                        rows[key].append(cell)
    return rows


def metric_rows(summary: Summary) -> dict[str, list[Any]]:
    """Column -> cells: a row a measure, arm and prompt."""
    rows: dict[str, list[Any]] = {"arm": [], "prompt_id": [], "metric": [], "signature": [], "value": []}
    for estimate in summary.estimates:
        for prompt, value in zip(summary.prompts, estimate.values, strict=True):
            for key, cell in zip(rows, (estimate.arm, prompt, estimate.metric, estimate.signature, value), strict=True):
                rows[key].append(cell)
    return rows
