"""Sentence encoders: texts become rows of length 1, each distinct text once, ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.diversity import use, vectors

Floats = NDArray[np.float32]
Progress = Callable[[int], None]
"""Called with the number of distinct texts finished since the last call."""
_BATCH = 1024
"""Texts between two writes to the cache: what a killed run has to embed again."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A sentence encoder with its cache; it is loaded when the first text is not in there."""

    name: str
    """Says all that the rows depend on: it stands in signatures and names the cache's folder."""
    dimensions: int
    load: Callable[[], Callable[[Sequence[str]], Floats]]
    """Gives the function from m texts to (m, dimensions) rows of length 1."""

    def encode(self, texts: Sequence[str], progress: Progress) -> Floats:
        """(m, dimensions) float32 rows of length 1, in the order of `texts`.

        Rows of equal texts are equal to the bit. The empty text has a row too: the encoder's own for no words. A lone
        surrogate counts as U+FFFD. Progress adds up to the number of distinct texts.
        """
        keys = [vectors.key(text) for text in texts]
        distinct = dict(zip(keys, texts, strict=True))
        rows = vectors.look_up(self.name, list(distinct), self.dimensions)
        progress(len(rows))
        missing = [name for name in distinct if name not in rows]
        if missing:
            embed = self.load()
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                new = dict(zip(batch, embed([_well_formed(distinct[name]) for name in batch]), strict=True))
                vectors.store(self.name, new)
                rows |= new
                progress(len(batch))
        return np.array([rows[name] for name in keys], dtype=np.float32).reshape(len(keys), self.dimensions)


def embedded() -> Encoder:
    """The encoder that comes with evalkit: Universal Sentence Encoder multilingual v3, 512 dimensions."""
    return Encoder(use.identity(), use.DIMENSIONS, lambda: use.UniversalSentenceEncoder().encode)


def _well_formed(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
