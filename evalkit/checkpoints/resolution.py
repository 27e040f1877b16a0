"""What a suite calls a checkpoint becomes one that can be loaded, or a server that was asked who it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from evalkit.checkpoints.folder import _as_told, check, fingerprint, is_url, locate
from evalkit.checkpoints.servers import base_url, identify
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError, ServerError
from evalkit.records import Checkpoint


def resolve(name: str, spec: CheckpointSpec, remembered: Mapping[str, str] | None = None) -> Checkpoint:
    """Find and check the checkpoint that a suite calls `name`; nothing is loaded, a server is asked what it serves.

    `remembered`: what a server told before, which is taken for it in its place.
    Raises `CheckpointError`: missing, broken, incompatible; `ServerError`: a server that does not answer.
    """
    try:
        if is_url(spec.path):
            return _remote(name, spec, remembered)
        folder = locate(spec.path, spec.revision)
        check(folder, spec.trust_remote_code)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {name!r}: {error}") from error
    return Checkpoint(
        name=name,
        kind=spec.kind,
        source=spec.path,
        location=str(folder),
        model=spec.path,
        revision=spec.revision,
        fingerprint=fingerprint(folder),
        dtype=spec.dtype,
        trust_remote_code=spec.trust_remote_code,
    )


def _remote(name: str, spec: CheckpointSpec, remembered: Mapping[str, str] | None) -> Checkpoint:
    try:
        served = identify(base_url(spec.path), spec.model) if remembered is None else _as_told(spec, remembered)
    except ServerError as error:
        raise ServerError(f"checkpoint {name!r}: {error}") from error
    told = json.dumps([spec.path, served.model, sorted(served.facts.items())])
    return Checkpoint(
        name=name,
        kind=spec.kind,
        source=spec.path,
        location=spec.path,
        model=served.model,
        revision=None,
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
        dtype=spec.dtype,
        served=tuple(sorted(served.facts.items())),
        names_weights=served.names_weights,
    )
