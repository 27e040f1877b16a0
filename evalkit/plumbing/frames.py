"""Rows become a pandas frame whose columns and types are stated, so that an empty one has them too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, str]
"""Column -> its pandas dtype, in order."""


def frame(columns: Columns, rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A row a row, its cells in the order of `columns`; None becomes the dtype's own word for missing."""
    import pandas as pd

    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    pairs = zip(columns.items(), cells, strict=True)
    return pd.DataFrame({name: pd.Series(list(column), dtype=dtype) for (name, dtype), column in pairs})
