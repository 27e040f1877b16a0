"""Columns of whole numbers in few characters, which a browser unpacks without a library.

Each column is laid down byte by byte, first the lowest of all its numbers: high bytes, which are mostly alike, then
stand side by side and compress to nearly nothing.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

import numpy as np

from evalkit.analysis.atlas.said import Places

BYTES = 4
"""Of a number; signed, little end first."""


def pack(columns: Mapping[str, Places]) -> str:
    """Columns of numbers below 2^31, in this order: gzip, base64."""
    planes = [_planes(column) for column in columns.values()]
    # gzip's header (31) names no time: the same run gives the same page, byte for byte.
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31, 9)
    return base64.b64encode(squeeze.compress(b"".join(planes)) + squeeze.flush()).decode("ascii")


def _planes(column: Places) -> bytes:
    return column.astype("<i4").view(np.uint8).reshape(-1, BYTES).T.tobytes()
