"""The sentence encoder: texts become rows of length 1, each distinct text once, ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from evalkit.diversity import use, vectors

Floats = NDArray[np.float32]
ENCODER_ID = use.IDENTITY
"""Says all that the rows depend on: it stands in signatures and names the cache's folder."""
_BATCH = 1024
"""Texts between two writes to the cache: what a killed run has to embed again."""


def encode(texts: Sequence[str], progress: Callable[[int], None] = lambda _: None) -> Floats:
    """(m, 512) float32 rows of length 1, in the order of `texts`.

    Rows of equal texts are equal to the bit. The empty text has a row too, the encoder's own for no words. A lone
    surrogate counts as U+FFFD. `progress` is called with the distinct texts done since its last call. The network is
    loaded only for texts that are not in the cache. Raises `EvalkitError` when it is not the one known here.
    """
    keys = [vectors.key(text) for text in texts]
    distinct = dict(zip(keys, texts, strict=True))
    rows = vectors.look_up(ENCODER_ID, list(distinct), use.DIMENSIONS)
    progress(len(rows))
    missing = [name for name in distinct if name not in rows]
    if missing:
        network = _network()
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            made = network.encode([_well_formed(distinct[name]) for name in batch])
            new = dict(zip(batch, made, strict=True))
            vectors.store(ENCODER_ID, new)
            rows |= new
            progress(len(batch))
    return np.array([rows[name] for name in keys], dtype=np.float32).reshape(len(keys), use.DIMENSIONS)


@cache
def _network() -> use.UniversalSentenceEncoder:
    """Loaded once a process: a training looks at its texts again and again."""
    return use.UniversalSentenceEncoder()


def _well_formed(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
