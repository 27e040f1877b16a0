"""Environments for peers that cannot live beside evalkit: made once with uv, in the cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch


def interpreter(peer: str, module: str, like_ours: Sequence[str]) -> Path:
    """The Python of an environment that has `peer` (`name==version`), and our versions of the packages `like_ours`.

    `module` is what must import for it to count as made. Ends the program with the reason where it cannot be made.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "evalkit-bench" / peer.replace("==", "-")
    python = folder / "bin" / "python"
    if not _succeeds([str(python), "-c", f"import {module}"]):
        print(f"making {folder} with {peer}", flush=True)
        uv = [sys.executable, "-m", "uv"]
        options = [o for place in os.environ.get("PIP_FIND_LINKS", "").split() for o in ("--find-links", place)]
        options = options or ["--torch-backend", "auto" if torch.cuda.is_available() else "cpu"]
        ours = [f"{name}=={version(name)}" for name in like_ours]
        _install(
            peer,
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [*uv, "pip", "install", "--quiet", *options, "--python", str(python), peer, *ours],
        )
    return python


def _install(peer: str, *commands: list[str]) -> None:
    # uv does not read pip's settings: hand on an index that pip is told of.
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    environment = os.environ | ({"UV_DEFAULT_INDEX": index} if index else {})
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            sys.exit(f"{peer} could not be installed ({' '.join(command[2:5])} ...):\n{done.stderr[-1500:]}")


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
