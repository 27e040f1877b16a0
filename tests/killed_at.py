"""evalkit's command line, which the system kills as soon as it has written one shard, or one state of a training.

    python -m tests.killed_at shard run SUITE ...
    python -m tests.killed_at state train METHOD CONFIG ...

Or it stands still when it has written so many shards, for whoever is to kill it with all that it has started:

    python -m tests.killed_at 3 run SUITE ...

Whoever kills from without alone is late when the machine is busy: by then, all may be done that the command had to do.
"""

from __future__ import annotations

import itertools
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


def _at_shard(number: int, end: signal.Signals) -> None:
    put, alone, there = Store.put_content, threading.Lock(), itertools.count(1)

    def put_and_end(store: Store, key: str, content: bytes, shared: bool = True, distribution: str = "") -> None:
        with alone:
            put(store, key, content, shared, distribution)
            if next(there) == number:
                os.kill(os.getpid(), end)

    Store.put_content = put_and_end  # type: ignore[method-assign]


def _at_state() -> None:
    replace = Path.replace

    def replace_and_end(part: Path, target: str | os.PathLike[str]) -> Path:
        whole = replace(part, target)
        if whole.name == STATE:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole

    Path.replace = replace_and_end  # type: ignore[method-assign,assignment]


def _until(moment: str) -> None:
    match moment:
        case "state":
            _at_state()
        case "shard":
            _at_shard(1, signal.SIGKILL)
        case _:
            _at_shard(int(moment), signal.SIGSTOP)


if __name__ == "__main__":
    _until(sys.argv.pop(1))
    main()
