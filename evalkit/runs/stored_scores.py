"""Scores of a finished run's completions, read back: reward, accuracy, a judge's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evalkit.errors import RecordsError
from evalkit.plumbing.arrays import finite_or_none
from evalkit.plumbing.lazily import each
from evalkit.records import Group, Groups

Scores: TypeAlias = Mapping[str, Mapping[str, Sequence[Sequence[float | None]]]]
"""Score name -> arm -> per prompt, in the order of the arm's groups -> per completion."""


def read_scores(path: Path, groups: Groups) -> Scores:
    """Of all completions of groups, from the rows of scores.parquet. Raises `RecordsError` where it cannot be read."""
    try:
        table = pq.read_table(path, columns=["score", "arm", "prompt_id", "slot", "value"])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None
    return {
        score: {arm: each(of_arm, _Rows.of(table, score, arm)) for arm, of_arm in groups.items()}
        for score in pc.unique(table["score"]).to_pylist()
    }


@dataclass(frozen=True)
class _Rows:
    """The rows of one score and arm, those of a prompt together."""

    places: Mapping[str, slice]
    """Prompt -> where its rows are."""
    slots: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, table: pa.Table, score: str, arm: str) -> _Rows:
        rows = table.filter(pc.and_(pc.equal(table["score"], score), pc.equal(table["arm"], arm)))
        ids = rows["prompt_id"].combine_chunks().dictionary_encode()
        codes = ids.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(ids.dictionary) + 1)).tolist()
        places = dict(zip(ids.dictionary.to_pylist(), starmap(slice, pairwise(edges)), strict=True))
        values = rows["value"].to_numpy().astype(np.float64)
        return cls(places, rows["slot"].to_numpy()[order], values[order])

    def __call__(self, index: int, group: Group) -> list[float | None]:
        rows = self.places.get(group.prompt.id, slice(0, 0))
        known = dict(zip(self.slots[rows].tolist(), map(finite_or_none, self.values[rows].tolist()), strict=True))
        return [known.get(completion.sample_index) for completion in group.completions]
