"""What a browser unpacks is what was packed."""

from __future__ import annotations

import base64
import gzip

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.analysis.atlas.packing import BYTES, pack

NUMBERS = arrays(np.int64, st.integers(0, 50), elements=st.integers(-(2**31), 2**31 - 1))


def unpacked(packed: str, lengths: list[int]) -> list[np.ndarray]:
    data = np.frombuffer(gzip.decompress(base64.b64decode(packed)), dtype=np.uint8)
    ends = np.cumsum([BYTES * length for length in lengths])
    assert len(data) == ends[-1]
    return [part.reshape(BYTES, -1).T.copy().view("<i4").ravel() for part in np.split(data, ends[:-1])]


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_columns_come_out_as_they_went_in(columns: list[np.ndarray]) -> None:
    packed = pack({str(place): column for place, column in enumerate(columns)})
    for column, found in zip(columns, unpacked(packed, [len(column) for column in columns]), strict=True):
        assert np.array_equal(column, found)


def test_what_is_mostly_alike_takes_next_to_nothing() -> None:
    assert len(pack({"count": np.ones(200_000, dtype=np.int64)})) < 2_000
