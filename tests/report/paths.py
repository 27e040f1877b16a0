"""Decoding paths of made-up runs: read from their own values, as a run reads them."""

from __future__ import annotations

from dataclasses import replace

from evalkit.analysis.decoding import read_decoding
from evalkit.analysis.estimates import Measured, remeasured
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import nan_for_none


def with_paths(summary: Summary, quality: str = "reward", diversities: tuple[str, ...] = ("vendi",)) -> Summary:
    def measured(metric: str) -> Measured:
        of_arms = [one for one in summary.estimates if one.metric == metric]
        return remeasured(of_arms[0], {one.arm: nan_for_none(one.values) for one in of_arms})

    found = read_decoding(summary.arms, measured(quality), [measured(one) for one in diversities], summary.clusters)
    return replace(summary, decoding=found)
