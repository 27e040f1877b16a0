"""`evalkit`, whose checkpoints and encoder make up what they say: what is measured is all around them.

python -m bench.made_up run SUITE --engine transformers --out FOLDER
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.cli.main import main as evalkit
from evalkit.inference.engines.base import Pair
from evalkit.inference.workers import calls
from evalkit.metrics.embeddings import use
from evalkit.metrics.embeddings.encoder import Floats
from evalkit.plumbing.arrays import Array
from evalkit.records import RANKS, NextTokenDistributions

DIRECTIONS = 1 << 13
"""Of words; more words share them."""
MEANINGS = 64
"""Different things that texts may say: a prompt's thousand answers fall into some tens of classes."""


def main() -> None:
    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[MadeUpReader]:
        yield MadeUpReader()

    calls.open_engine = opened  # type: ignore[assignment]
    use.UniversalSentenceEncoder = MadeUpEncoder  # type: ignore[assignment,misc]
    evalkit()


class MadeUpReader:
    """What a checkpoint might say of texts."""

    def turn_to(self, checkpoint: Checkpoint) -> None:
        pass

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        return [tuple(-1.0 - (token % 7) for token in completion) for _, completion in pairs]

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        made = []
        for _, completion in pairs:
            entropy = np.array(completion, dtype=np.float32) % 7
            ranks = -np.outer(entropy + 1, np.arange(1, len(RANKS) + 1, dtype=np.float32))
            made.append(NextTokenDistributions(entropy, ranks))
        return made


class MadeUpEncoder:
    """A text's row is nearest to those of the texts that mean the same, then to those that share its words."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._meanings = _unit(rng.normal(size=(MEANINGS, use.DIMENSIONS)))
        self._words = rng.normal(size=(DIRECTIONS, use.DIMENSIONS)).astype(np.float32)

    def encode(self, texts: Sequence[str]) -> Floats:
        """(m, 512) rows of length 1."""
        words = np.stack(
            [self._words[[_hash(word) % DIRECTIONS for word in text.split()]].sum(axis=0) for text in texts]
        )
        meanings = self._meanings[[_hash(text) % MEANINGS for text in texts]]
        return np.asarray(_unit(2 * meanings + _unit(words)), dtype=np.float32)


def _unit(rows: Array) -> Array:
    """Rows of length 1, those of nothing as they are."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
