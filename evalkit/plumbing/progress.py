"""How long work says where it is: a bar for people, lines for files, JSON lines for machines, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, TextIO

from evalkit.plumbing.terminal import visible, visible_text

SECONDS_BETWEEN_LINES = 10.0


class Listener(Protocol):
    """Told of stages of work and how far they are."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` units begins; the one before is over."""

    def advance(self, amount: int, tokens: int = 0) -> None:
        """`amount` more units are done, in which `tokens` tokens were sampled."""

    def ready(self) -> None:
        """What the stage had to do first, such as to load a model, is done: the time left goes by what comes now.

        Of no account where some of the stage is done already.
        """

    def reached(self, share: float) -> None:
        """How far the stage is in time, 0 to 1, where its units do not take alike; else that goes by units."""

    def ahead(self, seconds: float | None) -> None:
        """What comes after this stage will take so long; None where nobody knows."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def close(self) -> None:
        """No more comes."""


class Quiet:
    """Says nothing but notes, on standard error."""

    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, amount: int, tokens: int = 0) -> None:
        pass

    def ready(self) -> None:
        pass

    def reached(self, share: float) -> None:
        pass

    def ahead(self, seconds: float | None) -> None:
        pass

    def note(self, text: str) -> None:
        sys.stderr.write(f"note: {text}\n")

    def close(self) -> None:
        pass


QUIET = Quiet()


class Scaled:
    """Called with units of one kind, of which there are `units`, it tells of as large a share of `whole` others."""

    def __init__(self, advance: Callable[[int], None], units: int, whole: int) -> None:
        self._advance, self._units, self._whole = advance, units, whole
        self._done = self._told = 0

    def __call__(self, amount: int) -> None:
        self._done += amount
        reached = self._whole * self._done // self._units
        self._advance(reached - self._told)
        self._told = reached


def seconds_left(seconds: float, done: int, total: int, share: float = 0.0) -> float | None:
    """Of a stage, of which `done` of `total` units took so many seconds; None where nothing is done yet, or all.

    `share`: how far that is in time; 0 where that is known by units alone.
    """
    if not 0 < done < total:
        return None
    share = share or done / total
    return seconds * (1 - share) / share


def _left(seconds: float, done: int, total: int, share: float, ahead: float | None) -> str:
    """In words, of the stage and with all that comes after it; empty where it is not known."""
    left = seconds_left(seconds, done, total, share)
    if left is None:
        return ""
    of_all = "" if ahead is None else f" ({timedelta(seconds=round(left + ahead))} with all that follows)"
    return f"{timedelta(seconds=round(left))} left{of_all}"


class _Counting:
    """How far the stage is that runs now, written to a stream a line at a time."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._begin("", 0)

    def _begin(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done, self._tokens = stage, total, 0, 0
        self._began = self._ready = self._told = time.monotonic()
        self._share = 0.0
        self._ahead: float | None = None

    def ready(self) -> None:
        if not self._done:
            self._ready = time.monotonic()

    def reached(self, share: float) -> None:
        self._share = share

    def ahead(self, seconds: float | None) -> None:
        self._ahead = seconds

    def _count(self, amount: int, tokens: int) -> None:
        self._done += amount
        self._tokens += tokens

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class Lines(_Counting):
    """Plain lines on standard error, for files and pipes: a stage's start and its end, now and then how far it is."""

    def stage(self, name: str, total: int) -> None:
        self._finish()
        self._begin(name, total)
        self._write(f"{name}: begins")

    def advance(self, amount: int, tokens: int = 0) -> None:
        self._count(amount, tokens)
        if time.monotonic() - self._told >= SECONDS_BETWEEN_LINES and self._done < self._total:
            self._told = time.monotonic()
            left = _left(self._told - self._ready, self._done, self._total, self._share, self._ahead)
            share = f"{self._done:,} of {self._total:,} ({self._done / self._total:.0%})"
            self._write(f"{self._stage}: {share}{self._rate()}{left and f', {left}'}")

    def note(self, text: str) -> None:
        self._write(f"note: {visible(text)}")

    def close(self) -> None:
        self._finish()

    def _finish(self) -> None:
        """A stage that something broke off is not said to be done."""
        if self._stage:
            done = "done" if self._done >= self._total else f"left at {self._done:,} of {self._total:,}"
            self._write(f"{self._stage}: {done} after {time.monotonic() - self._began:.1f} s{self._rate()}")
        self._stage = ""

    def _rate(self) -> str:
        seconds = time.monotonic() - self._began
        return f", {self._tokens / max(seconds, 1e-9):,.0f} tokens/s" if self._tokens else ""


class JsonLines(_Counting):
    """One JSON object a line on standard error: at each stage's start, at most once a second in it, at notes."""

    def stage(self, name: str, total: int) -> None:
        self._finish()
        self._begin(name, total)
        self._progress()

    def advance(self, amount: int, tokens: int = 0) -> None:
        self._count(amount, tokens)
        if time.monotonic() - self._told >= 1:
            self._progress()

    def note(self, text: str) -> None:
        self._write(json.dumps({"event": "note", "text": text}))

    def close(self) -> None:
        self._finish()

    def _finish(self) -> None:
        if self._stage:
            self._progress()

    def _progress(self) -> None:
        self._told = time.monotonic()
        seconds = self._told - self._began
        event: dict[str, Any] = {"event": "progress", "stage": self._stage, "done": self._done, "total": self._total}
        event["seconds"] = round(seconds, 3)
        left = seconds_left(self._told - self._ready, self._done, self._total, self._share)
        if left is not None:
            event["seconds_left"] = round(left, 3)
            if self._ahead is not None:
                event["seconds_left_of_all"] = round(left + self._ahead, 3)
        if self._tokens:
            event["tokens_per_second"] = round(self._tokens / max(seconds, 1e-9), 1)
        self._write(json.dumps(event))


class Bars:
    """A rich progress bar a stage, with tokens a second and the time left; on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.text import Text

        class Left(ProgressColumn):
            # By all of the stage, as everywhere: Rich's own column goes by its last half minute.
            def render(self, task: Task) -> Text:
                seconds = (task.elapsed or 0.0) - task.fields["loading"]
                units = int(task.completed), int(task.total or 0)
                return Text(_left(seconds, *units, task.fields["share"], task.fields["ahead"]))

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            Left(),
            console=self._console,
        )
        self._task: Any = None
        self._done = self._tokens = 0
        self._began = 0.0

    def stage(self, name: str, total: int) -> None:
        self._progress.start()
        self._complete()
        self._task = self._progress.add_task(name, total=total, rate="", loading=0.0, share=0.0, ahead=None)
        self._done, self._tokens, self._began = 0, 0, time.monotonic()

    def advance(self, amount: int, tokens: int = 0) -> None:
        self._done += amount
        self._tokens += tokens
        seconds = time.monotonic() - self._began
        rate = f"{self._tokens / max(seconds, 1e-9):,.0f} tokens/s" if self._tokens else ""
        self._progress.update(self._task, advance=amount, rate=rate)

    def ready(self) -> None:
        if self._task is not None and not self._done:
            self._progress.update(self._task, loading=time.monotonic() - self._began)

    def reached(self, share: float) -> None:
        self._progress.update(self._task, share=share)

    def ahead(self, seconds: float | None) -> None:
        self._progress.update(self._task, ahead=seconds)

    def note(self, text: str) -> None:
        self._console.print(visible_text(f"note: {text}", style="yellow"))

    def close(self) -> None:
        self._complete()
        if self._progress.live.is_started:
            self._progress.stop()

    def _complete(self) -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)
            self._task = None
