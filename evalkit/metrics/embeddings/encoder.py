"""The sentence encoder: texts become rows of length 1, each distinct text once, ever.

The embedded one needs no files of the user's; any sentence-transformers or Hugging Face encoder can stand in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import regex
from numpy.typing import NDArray

from evalkit.metrics.embeddings import transformer, use, vectors
from evalkit.plumbing.models import Batch, Model, ask
from evalkit.plumbing.progress import Scaled

Floats = NDArray[np.float32]
ENCODER_ID = use.IDENTITY
"""The embedded encoder's identity."""
_UNREAD = regex.compile(
    r"[\p{L}--[\p{Latin}\p{Cyrillic}\p{Arabic}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Common}\p{Inherited}]]",
    regex.VERSION1,
)
"""The sixteen languages that it was trained on (Yang et al. 2020) are written in the scripts that are left out here."""
_BATCH = 1024
"""Texts between two writes to the cache: what a killed run has to embed again."""


@dataclass(frozen=True)
class Encoder:
    """A sentence encoder that is found and checked."""

    identity: str
    """Says all that the rows depend on: it stands in signatures and names the cache's folder."""
    dimensions: int
    model: Model
    """Its method `encode` gives (m, d) rows of length 1, in the order of m texts."""


def _embedded() -> use.UniversalSentenceEncoder:
    return _network()


EMBEDDED = Encoder(
    use.IDENTITY,
    use.DIMENSIONS,
    Model("the embedded encoder", f"{use.__name__}:{use.UniversalSentenceEncoder.__name__}", here=_embedded),
)


def find_encoder(name: str | None) -> Encoder:
    """The embedded encoder, or the one that `name` (folder, hub id, `PLUGIN:NAME`) stands for; nothing is loaded.

    Raises `CheckpointError`: missing, without safetensors, or of a kind whose rows would not be its authors' own.
    """
    if name is None:
        return EMBEDDED
    recipe = transformer.read_recipe(name)
    network = f"{transformer.__name__}:{transformer.TransformerEncoder.__name__}"
    return Encoder(recipe.identity, recipe.dimensions, Model(f"encoder {name}", network, (recipe,)))


def encode(
    texts: Sequence[str], progress: Callable[[int], None] = lambda _: None, encoder: Encoder = EMBEDDED
) -> Floats:
    """(m, d) float32 rows of length 1, in the order of `texts`; d is 512 for the embedded encoder.

    Rows of equal texts are equal to the bit. The empty text has a row too, the encoder's own for no words. A lone
    surrogate counts as U+FFFD. `progress` is called with the distinct texts done since its last call; those of the
    cache, which take no time, are told of along with the others, so that what is left takes as long as what is done.
    The network is loaded only for texts that are not in the cache. Raises `EvalkitError` when it is not the one known
    here, and `EngineError` when it cannot be loaded or fails.
    """
    keys = [vectors.key(text) for text in texts]
    distinct = dict(zip(keys, texts, strict=True))
    rows = vectors.look_up(encoder.identity, list(distinct), encoder.dimensions)
    # Texts of a length go together through the network, which pads them to the longest.
    missing = sorted((name for name in distinct if name not in rows), key=lambda name: len(distinct[name]))
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    advance = Scaled(progress, len(missing), len(distinct))

    def keep(number: int, made: Sequence[Floats]) -> None:
        new = dict(zip(batches[number], made, strict=True))
        vectors.store(encoder.identity, new)
        rows.update(new)
        advance(len(new))

    if batches:
        asked = [Batch([_well_formed(distinct[name]) for name in batch]) for batch in batches]
        ask(encoder.model, "encode", asked, keep)
    else:
        progress(len(distinct))
    return np.array([rows[name] for name in keys], dtype=np.float32).reshape(len(keys), encoder.dimensions)


def unread_share(texts: Iterable[str], encoder: Encoder) -> float:
    """Share of the letters that are of scripts which the embedded encoder never learned; 0 for any other encoder.

    Its pieces of such texts are one and the same "unknown", so that all of them look alike.
    """
    if encoder is not EMBEDDED:
        return 0.0
    unread = letters = 0
    for text in texts:
        unread += 0 if text.isascii() else len(_UNREAD.findall(text))
        letters += sum(map(str.isalpha, text))
    return unread / letters if unread else 0.0


@cache
def _network() -> use.UniversalSentenceEncoder:
    """Loaded once a process: a training looks at its texts again and again."""
    return use.UniversalSentenceEncoder()


def _well_formed(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
