"""What a suite calls a checkpoint becomes one that can be loaded, or a server that was asked who it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evalkit.checkpoints.adapters import is_adapter, resolve_adapter
from evalkit.checkpoints.folder import _as_told, check, fingerprint, is_url, locate
from evalkit.checkpoints.servers import base_url, identify
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError, ServerError
from evalkit.records import Adapter, Checkpoint


def resolve(name: str, spec: CheckpointSpec, remembered: Mapping[str, str] | None = None) -> Checkpoint:
    """Find and check the checkpoint that a suite calls `name`; nothing is loaded, a server is asked what it serves.

    `remembered`: what a server told before, which is taken for it in its place.
    Raises `CheckpointError`: missing, broken, incompatible; `ServerError`: a server that does not answer.
    """
    try:
        if is_url(spec.path):
            return _remote(name, spec, remembered)
        folder, adapter = find_weights(spec)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {name!r}: {error}") from error
    return Checkpoint(
        name=name,
        kind=spec.kind,
        source=spec.path,
        location=str(folder),
        model=spec.path,
        revision=spec.revision,
        fingerprint=fingerprint(folder) if adapter is None else _fingerprint(adapter),
        dtype=spec.dtype,
        trust_remote_code=spec.trust_remote_code,
        adapter=adapter,
    )


def find_weights(spec: CheckpointSpec) -> tuple[Path, Adapter | None]:
    """The folder of whole weights, and the adapter that changes them; both are checked. Raises `CheckpointError`."""
    folder = locate(spec.path, spec.revision)
    if is_adapter(folder):
        return resolve_adapter(folder, spec)
    if spec.base is not None:
        raise CheckpointError(f"{spec.path} is no LoRA adapter (it has no adapter_config.json); leave out `base:`")
    check(folder, spec.trust_remote_code)
    return folder, None


def _fingerprint(adapter: Adapter) -> str:
    """Of what is served: the base with the adapter on it."""
    return hashlib.sha256(f"{adapter.base_fingerprint} {adapter.fingerprint}".encode()).hexdigest()


def _remote(name: str, spec: CheckpointSpec, remembered: Mapping[str, str] | None) -> Checkpoint:
    try:
        served = identify(base_url(spec.path), spec.model) if remembered is None else _as_told(spec, remembered)
    except ServerError as error:
        raise ServerError(f"checkpoint {name!r}: {error}") from error
    identity = json.dumps([spec.path, served.model, sorted(served.facts.items())])
    return Checkpoint(
        name=name,
        kind=spec.kind,
        source=spec.path,
        location=spec.path,
        model=served.model,
        revision=None,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        dtype=spec.dtype,
        served=tuple(sorted(served.facts.items())),
        names_weights=served.names_weights,
    )
