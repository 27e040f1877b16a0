"""Runs one object in a process of its own and calls its methods from here.

What holds gigabytes or may crash lives in a child: leaving the `with` block gives back all that it held, an error of
ours arrives as itself, and any other end (an exception, a signal, the kernel's out-of-memory killer) is one
`EngineError` that names what was being done and where the child's output was kept.

The child is a fresh interpreter, not a fork and not `multiprocessing`'s spawn, which would run the caller's script a
second time. It leads a process group of its own, so that Ctrl-C in the terminal reaches the parent alone and whatever
the child started ends with it; it reads its calls in a thread, and the end of that stream means that the parent is
gone.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalkit.errors import EngineLost, EvalkitError, Interrupted, OutOfMemory

CLOSING_SECONDS = 10.0
"""How long a child may take to close what it holds before it is killed."""
_ALIVE_CHECK_SECONDS = 0.2
_LAST_LINES = 3
_LINE_LENGTH = 200
_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from evalkit.plumbing.child_process import serve
serve(int(sys.argv[1]))
"""


class ChildDiedError(EngineLost):
    """The process ended before it answered."""


class Remote:
    """The parent's end of a child: `call` its methods, `get` its attributes."""

    def __init__(
        self,
        title: str,
        process: subprocess.Popen[bytes],
        connection: Connection,
        log: Path,
        stopped: threading.Event | None = None,
    ) -> None:
        self._title = title
        self._process = process
        self._connection = connection
        self._log = log
        self._stopped = stopped
        self.failed = False

    def call(self, method: str, *args: Any, progress: Callable[..., None] | None = None) -> Any:
        """What `method(*args)` returns there; with `progress`, it is passed on as a keyword and called back here.

        Raises the `EvalkitError` that the method raised, or `EngineError` for any other exception and for a crash.
        """
        return self._ask(("call", method, args, progress is not None), f"running {method}", progress)

    def apply(self, function: Callable[..., Any], *args: Any, progress: Callable[..., None] | None = None) -> Any:
        """What a module's function of the object and `args` returns there; the rest is as in `call`."""
        return self._ask(("apply", function, args, progress is not None), f"running {function.__name__}", progress)

    def get(self, attribute: str) -> Any:
        """The value of an attribute or property there."""
        return self._ask(("get", attribute, (), False), f"reading {attribute}", None)

    def _ask(self, request: tuple[Any, ...], doing: str, progress: Callable[..., None] | None) -> Any:
        try:
            self._connection.send(request)
            while True:
                kind, value = self._receive()
                if kind == "progress":
                    if progress is not None:
                        progress(*value)
                elif kind == "result":
                    return value
                elif kind == "error":
                    raise value
                else:
                    self.failed = True
                    failure = OutOfMemory if kind == "full" else EngineLost
                    raise failure(f"{self._title} failed while {doing}: {value}; full log: {self._log}")
        except (EOFError, ConnectionError):
            self.failed = True
            raise ChildDiedError(self._death(doing)) from None

    def _receive(self) -> Any:
        # A grandchild may hold the other end open after the child's death, so the end of the stream is not enough.
        while not self._connection.poll(_ALIVE_CHECK_SECONDS):
            if _has_exited(self._process) and not self._connection.poll():
                raise EOFError
            if self._stopped is not None and self._stopped.is_set():
                raise Interrupted(f"{self._title} was stopped")
        return self._connection.recv()

    def _death(self, doing: str) -> str:
        _end(self._process, patience=CLOSING_SECONDS)
        lines = [
            line.strip()[:_LINE_LENGTH] for line in self._log.read_text(errors="replace").splitlines() if line.strip()
        ]
        last = " | ".join(lines[-_LAST_LINES:]) or "nothing"
        ending = _exit_words(self._process.returncode)
        return f"{self._title} died while {doing} ({ending}); its last output: {last}; full log: {self._log}"

    def kill(self) -> None:
        """End the process at once, from another thread; whoever waits for its answer gets `ChildDiedError`."""
        with suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the object close itself and wait for the end of its process."""
        with suppress(ConnectionError):
            self._connection.send(("stop", "close", (), False))
        _end(self._process, patience=CLOSING_SECONDS)


@contextmanager
def open_child(
    target: str,
    *args: Any,
    title: str = "",
    log: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    stopped: threading.Event | None = None,
) -> Iterator[Remote]:
    """Make `target` ("module:Class") with `args` in a child process, for the length of a `with` block.

    `title` names it in errors, `environment` is set there besides this process's own. Its output goes to the file
    `log`; without one, to a temporary file that is kept only if something failed. On an exception, Ctrl-C included,
    the child is killed at once; where another thread sets `stopped`, who waits for it here gets `Interrupted`.
    """
    given = log is not None
    log = log or _temporary_log(target)
    here, there = Pipe()
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-u", "-X", "faulthandler", "-c", _BOOT, str(there.fileno()), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[there.fileno()],
            start_new_session=True,
            env={**os.environ, **environment},
        )
    there.close()
    remote = Remote(title or target, process, here, log, stopped)
    try:
        remote._ask(("make", target, args, False), "starting", None)
        yield remote
        remote.close()
    finally:
        _end(process, patience=0.0)
        here.close()
        if not given and not remote.failed:
            log.unlink(missing_ok=True)


def serve(descriptor: int) -> None:
    """The child's main loop: make the object, then answer calls until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    requests: queue.SimpleQueue[tuple[str, Any, tuple[Any, ...], bool]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    subject: Any = None
    while True:
        request = requests.get()
        if request[0] == "stop":
            break
        try:
            answer = ("result", _answer(subject, request, connection))
            if request[0] == "make":
                subject, answer = answer[1], ("result", None)
        except EvalkitError as error:
            answer = ("error", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
            traceback.print_exc()
            answer = ("full" if is_out_of_memory(error) else "failed", one_line(error))
        _reply(connection, answer)
    if hasattr(subject, "close"):
        subject.close()
    sys.stdout.flush()
    # Not a return: libraries that still have threads and process groups of their own take seconds to tear them down.
    os._exit(0)


def _listen(connection: Connection, requests: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            requests.put(connection.recv())
    except (EOFError, ConnectionError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _answer(subject: Any, request: tuple[str, Any, tuple[Any, ...], bool], connection: Connection) -> Any:
    kind, name, args, wants_progress = request
    if kind == "make":
        module, _, attribute = name.partition(":")
        return getattr(importlib.import_module(module), attribute)(*args)
    if kind == "get":
        return getattr(subject, name)
    method = partial(name, subject) if kind == "apply" else getattr(subject, name)
    if wants_progress:
        return method(*args, progress=lambda *news: connection.send(("progress", news)))
    return method(*args)


def _reply(connection: Connection, answer: tuple[str, Any]) -> None:
    try:
        connection.send(answer)
    except (ConnectionError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - a value that cannot be pickled is the caller's to hear of
        traceback.print_exc()
        connection.send(("failed", one_line(error)))


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was what a call lacked: Python's, or torch's on a GPU or a CPU."""
    name, text = type(error).__name__, str(error)
    return isinstance(error, MemoryError) or name == "OutOfMemoryError" or "not enough memory" in text


def one_line(error: Exception) -> str:
    """What an unexpected exception says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    """Wait `patience` seconds for the child's own end, then kill its group; the group is swept in either case.

    The child is left unreaped until its group is dead, so that the group's number cannot belong to anyone else.
    """
    if process.returncode is not None:
        return
    if patience:
        _wait_unreaped(process, patience)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_unreaped(process: subprocess.Popen[bytes], seconds: float) -> None:
    def wait() -> None:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(seconds)


def _has_exited(process: subprocess.Popen[bytes]) -> bool:
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _exit_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}, often a lack of memory" if name == "SIGKILL" else f"killed by {name}"


def _temporary_log(target: str) -> Path:
    descriptor, path = tempfile.mkstemp(prefix=f"evalkit-{target.rpartition(':')[2]}-", suffix=".log")
    os.close(descriptor)
    return Path(path)
