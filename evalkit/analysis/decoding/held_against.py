"""A checkpoint's arms beside the baseline's, prompt by prompt: what every reading of decoding paths starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.estimates import Measured
from evalkit.analysis.intervals import by_cluster
from evalkit.plumbing.arrays import Array


@dataclass(frozen=True)
class Columns:
    """Some arms minus the baseline's reference arm, on the prompts on which all measures have a value for all."""

    arms: tuple[str, ...]
    values: tuple[Array, ...]
    """(A, C) of each measure, a column a unit of resampling, turned so that higher is better or more diverse."""
    prompts: int

    def rows(self, arms: Sequence[str]) -> tuple[Array, ...]:
        """(len(arms), C) of each measure, for some of the arms."""
        places = [self.arms.index(arm) for arm in arms]
        return tuple(values[places] for values in self.values)


def columns(
    arms: Sequence[str], reference: str, measures: Sequence[Measured], clusters: Sequence[str]
) -> Columns | None:
    """Of those arms that have values; None where the reference or every prompt lacks some.

    Log-probs are undefined where a distribution is heated or cut. `clusters`: that of each prompt, where prompts belong
    together.
    """
    able = [arm for arm in arms if all(_has(measured, arm) for measured in measures)]
    if not able or not all(_has(measured, reference) for measured in measures):
        return None
    rows = np.vstack([_minus(measured, able, reference) for measured in measures])
    is_known = np.asarray(~np.isnan(rows).any(axis=0))
    if not is_known.any():
        return None
    kept = [cluster for cluster, known in zip(clusters, is_known, strict=False) if known]
    units = np.split(by_cluster(rows[:, is_known], kept), len(measures))
    return Columns(tuple(able), tuple(units), int(is_known.sum()))


def sign_of(measured: Measured) -> float:
    """-1 where less of it is better or more diverse."""
    return -1.0 if measured.better == "lower" else 1.0


def _has(measured: Measured, arm: str) -> bool:
    return arm in measured.values and not np.isnan(measured.values[arm]).all()


def _minus(measured: Measured, arms: Sequence[str], reference: str) -> Array:
    baseline = measured.values[reference]
    return sign_of(measured) * np.stack([measured.values[arm] - baseline for arm in arms])
