"""The lab: a built-in world whose truth is known, and small checkpoints trained on it."""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
NAMES = ("base", "tuned", "reward")


def resolve(name: str) -> Path:
    """Return the folder of a shipped checkpoint."""
    if name not in NAMES:
        raise KeyError(f"the lab has no checkpoint {name!r}; it has {', '.join(NAMES)}")
    return CHECKPOINTS / name
