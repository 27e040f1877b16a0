"""The manifest of a training's folder: what was asked, by what, and whether it is done."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.errors import InputError, StoreError
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.files import write_atomically, writing
from evalkit.training.config import Job, Prompted

NAME = "train.json"
SAME_RESULT = {"microbatch"}
"""Keys of a config that may be another when a training goes on: they change what it costs, not what comes out."""


def begin(folder: Path, config: Job, command: Sequence[str]) -> dict[str, Any]:
    """Write the manifest of a training that begins or goes on in `folder`; returns it.

    Raises `InputError` where the folder holds another training, `StoreError` where it cannot be written.
    """
    settings = config.model_dump(mode="json", exclude={"prompts"})
    if isinstance(config, Prompted):
        prompts = [prompt.content() for prompt in config.prompts]
        settings["prompts"] = f"{len(prompts)} of fingerprint {key_of({'prompts': prompts})}"
    path = folder / NAME
    known = _read(path) if path.exists() else {}
    before = known["config"] if known else settings
    changed = sorted(key for key in {*before, *settings} - SAME_RESULT if before.get(key) != settings.get(key))
    if changed:
        raise InputError(
            f"{folder} holds another training (different: {', '.join(changed)}); choose another folder with --out"
        )
    manifest = {
        "evalkit": __version__,
        "state": "running",
        "command": list(command),
        "started": known.get("started") or _now(),
        "config": settings,
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        "machine": {"system": platform.platform(), "python": platform.python_version()},
    }
    write(folder, manifest)
    return manifest


def finish(folder: Path, manifest: dict[str, Any]) -> None:
    """Say in the manifest that the training is complete. Raises `StoreError`."""
    write(folder, manifest | {"state": "complete", "ended": _now()})


def write(folder: Path, manifest: dict[str, Any]) -> None:
    with writing(folder / NAME):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / NAME, json.dumps(manifest, indent=1).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known["config"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged ({error!r}); choose another folder with --out") from None
    return known


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
