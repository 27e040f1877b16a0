"""Scores and metric values as rows of tables: scores.parquet and metrics.parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from evalkit.analysis.measure import Measurements
from evalkit.metrics.summary import Summary

TEXT, NUMBER = pa.string(), pa.float64()
SCORES = pa.schema({"arm": TEXT, "prompt_id": TEXT, "slot": pa.int64(), "score": TEXT, "value": NUMBER})
METRICS = pa.schema({"arm": TEXT, "prompt_id": TEXT, "metric": TEXT, "signature": TEXT, "value": NUMBER})


def score_rows(measurements: Measurements) -> Iterator[dict[str, Any]]:
    """Column -> cells, a row a score and completion; table by table, an arm a table. No completion is looked at."""
    for score, by_arm in measurements.scores.items():
        for arm, arrays in by_arm.items():
            slots = [seen.slots for seen in measurements.overview[arm]]
            sizes = list(map(len, slots))
            prompts = [seen.prompt.id for seen in measurements.overview[arm]]
            yield {
                "arm": [arm] * sum(sizes),
                "prompt_id": np.repeat(np.array(prompts, dtype=object), sizes),
                "slot": np.concatenate(slots).astype(np.int64),
                "score": [score] * sum(sizes),
                "value": np.concatenate(list(arrays)),
            }


def metric_rows(summary: Summary) -> dict[str, list[Any]]:
    """Column -> cells: a row a measure, arm and prompt."""
    rows: dict[str, list[Any]] = {"arm": [], "prompt_id": [], "metric": [], "signature": [], "value": []}
    for estimate in summary.estimates:
        for prompt, value in zip(summary.prompts, estimate.values, strict=True):
            for key, cell in zip(rows, (estimate.arm, prompt, estimate.metric, estimate.signature, value), strict=True):
                rows[key].append(cell)
    return rows
