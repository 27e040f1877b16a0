"""A name becomes a checked folder, or a server that was asked who it is; and a prompt as it sees it."""

from evalkit.checkpoints.folder import context_length, fingerprint, locate
from evalkit.checkpoints.rendering import render
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec

__all__ = ["CheckpointSpec", "context_length", "fingerprint", "locate", "render", "resolve"]
