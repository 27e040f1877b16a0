"""A checkpoint that was found and checked, and how it is loaded or asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evalkit.records import Kind

CONCURRENCY = 8
"""Requests that are in flight at once to each server, where the suite states no other number."""
TIMEOUT = 600.0
"""Seconds that a request to a server may take, from the first byte sent to the last received."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA weights that change a base."""

    location: str
    """The local folder."""
    fingerprint: str
    """Hash of its weights, configuration and tokenizer alone."""
    base: str
    """What names the base: folder, hub id or `lab:NAME`."""
    base_fingerprint: str


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How a checkpoint is loaded, as far as an engine is not left to choose."""

    tensor_parallel: int = 1
    """Devices that share each layer."""
    pipeline_parallel: int = 1
    """Groups of devices that share the layers out."""
    replicas: int | None = None
    """How many are loaded beside each other; None: as many as there is room and work for."""
    gpu_memory: float | None = None
    """Share of a device's memory that it may take; None: the engine's own."""
    max_num_seqs: int | None = None
    """Completions that are drawn at the same time at most; None: the engine's own."""
    quantization: str | None = None
    """How weights are quantised as they are loaded; None: as they are stored."""
    options: tuple[tuple[str, str], ...] = ()
    """Further options of the engine, as (name, JSON)."""

    @property
    def devices(self) -> int:
        """That one replica takes."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def departures(self) -> dict[str, Any]:
        """What changes the samples, by name: neither how many devices nor how much memory does."""
        quantization = {} if self.quantization is None else {"quantization": self.quantization}
        return quantization | ({"engine_options": dict(self.options)} if self.options else {})


AS_IT_IS = EngineSettings()
"""Everything is left to the engine."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How a checkpoint's servers are asked: none of it decides what is drawn, so it is part of no identity."""

    pool: tuple[str, ...] = ()
    """URLs of servers that all serve it; empty where `Checkpoint.location` is the only one."""
    concurrency: int = CONCURRENCY
    timeout: float = TIMEOUT
    batch: bool = False
    """Whether through the batch interface."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint found and checked, ready to be loaded."""

    name: str
    """The name it has in the suite."""
    kind: Kind
    source: str
    """What the user wrote: folder, hub id, `lab:NAME` or URL."""
    location: str
    """The local folder, or the server's URL; of an adapter its base's folder."""
    model: str
    """The model's name on a server; for a folder the same as `source`."""
    revision: str | None
    fingerprint: str
    """Hash of weights, configuration and tokenizer, of an adapter with those of its base; for a server, of its URL and
    all that it tells of the model."""
    dtype: str
    trust_remote_code: bool = False
    served: tuple[tuple[str, str], ...] = ()
    """What a server tells of the model, as (name, value); empty for a folder."""
    names_weights: bool = True
    """Whether other weights would change the fingerprint; if not, no other run may take its samples."""
    adapter: Adapter | None = None
    """What changes the weights in `location`; None where they are served as they are."""
    settings: EngineSettings = AS_IT_IS
    shown: tuple[int, ...] = ()
    """Special tokens that its texts show, since they tell its thinking from its answers; texts leave out all others."""
    serving: Serving = Serving()
    """For servers alone."""

    @property
    def is_remote(self) -> bool:
        return self.location.startswith(("http://", "https://"))
