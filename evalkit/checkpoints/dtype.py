"""What both local engines read from a checkpoint's folder, so that they load it alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import read_config

_SAFETENSORS_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def dtype_of(checkpoint: Checkpoint) -> str:
    """The dtype to load a checkpoint in: the one asked for, or with "auto" the one its weights are stored in.

    Left to itself vLLM makes float32 weights 16-bit, and the two engines would sample different models.
    """
    if checkpoint.dtype != "auto":
        return checkpoint.dtype
    folder = Path(checkpoint.location)
    config = read_config(folder)
    return _named_dtype(config) or _named_dtype(config.get("text_config") or {}) or _stored_dtype(folder)


def _named_dtype(config: dict[str, Any]) -> str | None:
    named = config.get("dtype") or config.get("torch_dtype")
    return named if named in _SAFETENSORS_DTYPES.values() else None


def _stored_dtype(folder: Path) -> str:
    first = min(folder.glob("*.safetensors"))
    with first.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    stored = {tensor["dtype"] for name, tensor in header.items() if name != "__metadata__"}
    return next((ours for theirs, ours in _SAFETENSORS_DTYPES.items() if theirs in stored), "float32")
