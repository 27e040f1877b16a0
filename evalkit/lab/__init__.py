"""The lab: a built-in world whose truth is known, and small checkpoints trained on it."""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
NAMES = ("base", "reward", "reward-friends", "ppo-1", "ppo-0.5", "ppo-0.2", "ppo-0.1", "friends")
TUNED = "ppo-0.2"
"""The checkpoint of the ladder that `lab:tuned` means."""


def resolve(name: str) -> Path:
    """Return the folder of a shipped checkpoint; `tuned` is one of the ladder's."""
    name = TUNED if name == "tuned" else name
    if name not in NAMES:
        raise KeyError(f"the lab has no checkpoint {name!r}; it has {', '.join(NAMES)}")
    return CHECKPOINTS / name
