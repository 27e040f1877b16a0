"""What a suite calls a checkpoint becomes one that can be loaded, or a server that was asked who it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evalkit.checkpoints.adapters import is_adapter, resolve_adapter
from evalkit.checkpoints.checkpoint import Adapter, Checkpoint, Serving
from evalkit.checkpoints.folder import _as_told, check, fingerprint, is_url, locate
from evalkit.checkpoints.pools import identify_pool
from evalkit.checkpoints.providers import identify_model, model_in, provider_of
from evalkit.checkpoints.servers import Served, base_url, identify
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError, ServerError


def resolve(name: str, spec: CheckpointSpec, remembered: Mapping[str, str] | None = None) -> Checkpoint:
    """Find and check the checkpoint that a suite calls `name`; nothing is loaded, a server is asked what it serves.

    `remembered`: what a server told before, which is taken for it in its place.
    Raises `CheckpointError`: missing, broken, incompatible; `ServerError`: a server that does not answer.
    """
    try:
        if spec.pool or provider_of(spec.source) or is_url(spec.source):
            return _remote(name, spec, remembered)
        if spec.batch:
            raise CheckpointError(f"`batch: true` is for servers, and {spec.source} is none; leave it out")
        folder, adapter = find_weights(spec)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {name!r}: {error}") from error
    return Checkpoint(
        name=name,
        kind=spec.kind,
        source=spec.source,
        location=str(folder),
        model=spec.source,
        revision=spec.revision,
        fingerprint=fingerprint(folder) if adapter is None else _fingerprint(adapter),
        dtype=spec.dtype,
        trust_remote_code=spec.trust_remote_code,
        adapter=adapter,
        settings=spec.engine,
    )


def find_weights(spec: CheckpointSpec) -> tuple[Path, Adapter | None]:
    """The folder of whole weights, and the adapter that changes them; both are checked. Raises `CheckpointError`."""
    folder = locate(spec.source, spec.revision)
    if is_adapter(folder):
        return resolve_adapter(folder, spec)
    if spec.base is not None:
        raise CheckpointError(f"{spec.source} is no LoRA adapter (it has no adapter_config.json); leave out `base:`")
    check(folder, spec.trust_remote_code)
    return folder, None


def _fingerprint(adapter: Adapter) -> str:
    """Of what is served: the base with the adapter on it."""
    return hashlib.sha256(f"{adapter.base_fingerprint} {adapter.fingerprint}".encode()).hexdigest()


def _remote(name: str, spec: CheckpointSpec, remembered: Mapping[str, str] | None) -> Checkpoint:
    if spec.batch and spec.pool:
        raise CheckpointError("`batch: true` is for one server, and path is a pool of them; name one, or leave it out")
    provider = provider_of(spec.source)
    try:
        served = _asked(spec) if remembered is None else _as_told(spec, remembered)
    except ServerError as error:
        raise ServerError(f"checkpoint {name!r}: {error}") from error
    # Which servers, and how many of them, is no part of what a pool is.
    source = "a pool of servers" if spec.pool else spec.source
    identity = json.dumps([source, served.model, sorted(served.facts.items())])
    return Checkpoint(
        name=name,
        kind=spec.kind,
        source=source,
        location=provider.url if provider else spec.source,
        model=served.model,
        revision=None,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        dtype=spec.dtype,
        served=tuple(sorted(served.facts.items())),
        names_weights=served.names_weights,
        settings=spec.engine,
        serving=Serving(spec.pool, spec.concurrency, spec.timeout, spec.batch),
    )


def _asked(spec: CheckpointSpec) -> Served:
    if provider := provider_of(spec.source):
        return identify_model(provider, model_in(spec.source))
    if not spec.pool:
        return identify(base_url(spec.source), spec.model)
    for url in spec.pool:
        if not is_url(url):
            raise CheckpointError(f"path lists {url!r}, which is no server; a pool is of URLs alone")
    return identify_pool([base_url(url) for url in spec.pool], spec.model)
