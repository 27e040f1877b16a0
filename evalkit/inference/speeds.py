"""How fast checkpoints were sampled on this machine the last time, kept in the cache for whoever plans a run."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalkit.inference.sampling_calls import Loaded
from evalkit.plumbing.array_cache import Notice, key_of
from evalkit.plumbing.files import cache_folder, cache_note, write_atomically


@dataclass(frozen=True)
class Speed:
    """One time that an engine sampled a checkpoint."""

    load: float
    """Seconds until the engine could be asked."""
    seconds: float
    """Of sampling."""
    completions: int
    tokens: Mapping[str, int]
    """Tokens of the completions of each distribution; a server that does not tell tokens has 0."""
    drawn: Mapping[str, int]
    """Completions of each distribution."""
    stored: int
    """Bytes of their shards."""
    prompt_tokens: int = 0
    """As a server counted them; 0 where none did."""
    prompt_letters: int = 0
    """Of the prompts that have so many tokens."""

    def after(self, other: Speed) -> Speed:
        """The same weights sampled twice from one load, asked in another way: both together."""
        return Speed(
            max(self.load, other.load),
            self.seconds + other.seconds,
            self.completions + other.completions,
            dict(Counter(other.tokens) + Counter(self.tokens)),
            dict(Counter(other.drawn) + Counter(self.drawn)),
            self.stored + other.stored,
        )


def remember_speed(loaded: Loaded, speed: Speed, notice: Notice) -> None:
    """Keep it in place of the last one; a cache that cannot be written is only told of."""
    try:
        write_atomically(_path(loaded), json.dumps(asdict(speed)).encode())
    except OSError as error:
        notice(cache_note(error))


def last_speed(loaded: Loaded) -> Speed | None:
    """That of the last time this engine sampled these weights on this machine; None where there is none."""
    try:
        return TypeAdapter(Speed).validate_json(_path(loaded).read_bytes())
    except (OSError, ValidationError):
        return None


def _path(loaded: Loaded) -> Path:
    key = key_of({
        "weights": loaded.checkpoint.fingerprint,
        "dtype": loaded.checkpoint.dtype,
        "engine": loaded.engine,
        "engine_version": loaded.engine_version,
        "machine": [platform.node(), platform.machine(), os.cpu_count()],
    })  # fmt: skip
    return cache_folder("speeds") / f"{key}.json"
