"""Made-up embeddings: crowds that lie apart, for which it is known what is near what."""

from __future__ import annotations

import numpy as np

from evalkit.metrics.embeddings.encoder import Floats


def crowds(count: int, size: int, d: int = 32, width: float = 0.3, seed: int = 0) -> tuple[Floats, np.ndarray]:
    """(count * size, d) rows of length 1, mixed, and which crowd each is of."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, d))
    of_crowd = rng.permutation(np.repeat(np.arange(count), size))
    rows = centres[of_crowd] + width * rng.normal(size=(count * size, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), of_crowd
