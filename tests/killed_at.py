"""evalkit's command line, which the system kills as soon as it has written one shard, or one state of a training.

    python -m tests.killed_at shard run SUITE ...
    python -m tests.killed_at state train METHOD CONFIG ...

Whoever kills from without is late when the machine is busy: by then, all may be done that the command had to do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalkit.cli.main import main
from evalkit.runs.folder import Store
from evalkit.training.state import STATE
from tests import ROOT


def killed_at(moment: str, arguments: Sequence[object], environment: Mapping[str, str]) -> None:
    """Run a command until its moment; it must not have ended before."""
    command = [sys.executable, "-m", __name__, moment, *map(str, arguments)]
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
    assert ended.returncode == -signal.SIGKILL


def _die_at_a_shard() -> None:
    put, alone = Store.put_content, threading.Lock()

    def put_and_die(store: Store, key: str, content: bytes, shared: bool = True, distribution: str = "") -> None:
        with alone:
            put(store, key, content, shared, distribution)
            os.kill(os.getpid(), signal.SIGKILL)

    Store.put_content = put_and_die  # type: ignore[method-assign]


def _die_at_a_state() -> None:
    replace = Path.replace

    def replace_and_die(part: Path, target: str | os.PathLike[str]) -> Path:
        whole = replace(part, target)
        if whole.name == STATE:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole

    Path.replace = replace_and_die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    {"shard": _die_at_a_shard, "state": _die_at_a_state}[sys.argv.pop(1)]()
    main()
