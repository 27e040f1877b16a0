"""A checker of another package, in a process of its own: code that is not ours may never come back.

The process answers lines of JSON, {name, argument, form}, with {given} or {error}. One serves all of a module's
checkers, and ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable

from evalkit.errors import MetricError

SECONDS = 1.0
"""Longest time that one answer may take."""
STARTING_SECONDS = 60.0
"""Longest time that importing the module may take."""
_BOOT = f"""
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from {__name__} import serve
serve(sys.argv[1])
"""
_processes: dict[str, subprocess.Popen[bytes]] = {}
_one_at_a_time = threading.Lock()


def within_time(name: str, module: str, argument: str) -> Callable[[str], str | None]:
    """The checker's `name_of`, asked elsewhere. It raises `MetricError` on an answer that takes over `SECONDS`."""

    def name_of(form: str) -> str | None:
        with _one_at_a_time:
            reply = _ask(_process_of(module), {"name": name, "argument": argument, "form": form})
            if reply is None:
                _end(module)
        if reply is None:
            raise MetricError(
                f"checker {name!r} of {module} took over {SECONDS:g} s on one completion, or ended its process; it "
                "must answer faster"
            )
        if "error" in reply:
            raise MetricError(f"checker {name!r} of {module} failed on {form[:60]!r}: {reply['error']}")
        return reply["given"]

    return name_of


def _ask(process: subprocess.Popen[bytes], question: dict[str, str]) -> dict[str, str | None] | None:
    """The reply; None where none comes in time."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    line = _line(process, SECONDS)
    return json.loads(line) if line else None


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """What it says, in one line; empty where it says nothing in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else b""


def _process_of(module: str) -> subprocess.Popen[bytes]:
    """Raises `MetricError` where the module cannot be imported by itself."""
    process = _processes.get(module)
    if process is None or process.poll() is not None:
        command = [sys.executable, "-c", _BOOT, module, json.dumps(sys.path)]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        _processes[module] = process
        if _line(process, STARTING_SECONDS) != b"ready\n":
            _end(module)
            raise MetricError(
                f"the module {module}, which declares a checker, cannot be imported by a process of its own; it must "
                "be installed, or on PYTHONPATH"
            )
    return process


def _end(module: str) -> None:
    process = _processes.pop(module)
    process.kill()
    process.communicate()


def serve(module: str) -> None:
    """Answer questions about a module's checkers, one a line of standard input, until there are no more."""
    from evalkit.metrics.valid_checkers import rule_here

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a checker prints must not stand among the replies
    importlib.import_module(module)
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        reply: dict[str, str | None]
        try:
            given = rule_here(asked["name"], asked["argument"]).name_of(asked["form"])
            reply = {"given": None if given is None else str(given)}
        except Exception as error:  # noqa: BLE001 - whatever somebody else's code raises is told
            reply = {"error": repr(error)}
        print(json.dumps(reply), file=replies, flush=True)
