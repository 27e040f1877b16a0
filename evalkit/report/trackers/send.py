"""Trackers are tried before work begins and told when it is done; one that fails then costs a warning, not the run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, Protocol

from evalkit.errors import InputError, TrackerError
from evalkit.report.trackers.record import Record

NAMES = ("wandb", "mlflow", "trackio", "tensorboard")
PROJECT = "evalkit"
"""The project or experiment where neither the user nor the tracker's own environment names one."""
Note = Callable[[str], None]


class Tracker(Protocol):
    """One place that runs are told to; its module has a function `open_tracker(project)` that makes it."""

    name: str

    def check(self) -> None:
        """Raise, with any error, where a run could not be opened now."""

    def log(self, record: Record, note: Note) -> str:
        """Open a run, tell it all of the record, close it; returns where a reader finds it."""


def open_trackers(names: Sequence[str], project: str | None) -> tuple[Tracker, ...]:
    """The trackers, each tried: its package is there, and it could open a run.

    Raises `InputError` where a package is missing, `TrackerError` where the tracker cannot be used.
    """
    return tuple(_opened(name, project) for name in dict.fromkeys(names))


def _opened(name: str, project: str | None) -> Tracker:
    with _apart():
        try:
            tracker: Tracker = import_module(f"evalkit.report.trackers.{name}").open_tracker(project)
        except ModuleNotFoundError as error:
            raise InputError(
                f"the tracker {name} needs the package {error.name}; install it with: pip install 'evalkit[{name}]'"
            ) from None
        try:
            tracker.check()
        except Exception as error:  # whatever a library raises, it is said before hours of work
            raise TrackerError(f"{name} cannot be used: {reason(error)}") from error
    return tracker


def send(trackers: Sequence[Tracker], record: Record, note: Note) -> list[TrackerError]:
    """Tell every tracker; `note` hears where the record stands, and what could not be told. Returns what failed."""
    failed = []
    for tracker in trackers:
        try:
            with _apart():
                where = tracker.log(record, note)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the run is whole and stays so
            failed.append(TrackerError(f"{record.name} is not logged to {tracker.name}: {reason(error)}"))
            note(f"{failed[-1]}; nothing is lost: {remedy(record, tracker.name)}")
        else:
            note(f"logged to {tracker.name}: {where}")
    return failed


def remedy(record: Record, name: str) -> str:
    """What a user does about a tracker that failed."""
    if record.job == "score":
        return "give the same command again"
    return f"evalkit log {record.folder} --to {name}"


def reason(error: BaseException) -> str:
    """What a library says is wrong, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """What trackers print goes to standard error: standard output is for the command's own result."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def named(project: str | None, variable: str) -> str:
    """The project: the user's, the environment's or our own."""
    return project or os.environ.get(variable) or PROJECT


def only(values: dict[str, Any]) -> dict[str, Any]:
    """Those that are not None."""
    return {key: value for key, value in values.items() if value is not None}
