"""Click commands and groups that show a mistake as lines of text with its exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from evalkit.errors import CLOSED_PIPE, EvalkitError, Interrupted
from evalkit.plumbing.did_you_mean import nearest
from evalkit.plumbing.terminal import visible

PACKAGE = Path(__file__).parents[1]


class Command(click.Command):
    """Shows an `EvalkitError` as lines of text with its exit code, never as a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            with told_warnings():
                return super().invoke(context)
        except KeyboardInterrupt:
            fail(Interrupted("interrupted; what was sampled is kept, and the same command goes on from there"))
        except EvalkitError as error:
            fail(error)


class Group(click.Group):
    command_class = Command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with written_to_a_reader():
            return super().main(*args, **kwargs)

    # What click's own `main` sees of a closed pipe it ends with code 1, so that it must not see any.
    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with written_to_a_reader():
            return super().make_context(*args, **kwargs)

    def invoke(self, context: click.Context) -> Any:
        with written_to_a_reader():
            return super().invoke(context)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            close = nearest(args[0], self.list_commands(context))
            if close is None or "Did you mean" in error.message:
                raise
            raise click.UsageError(f"{error.message} Did you mean {close!r}?", context) from None


Group.group_class = Group


@contextmanager
def told_warnings() -> Iterator[None]:
    """Show a warning of this package as a line of text; those of others stay as Python shows them."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *where: Any, **others: Any) -> None:
        if Path(filename).is_relative_to(PACKAGE):
            click.echo(f"evalkit: {visible(str(message))}", err=True)
        else:
            shown(message, category, filename, *where, **others)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


@contextmanager
def written_to_a_reader() -> Iterator[None]:
    """Where the output's reader has gone, end as other programs do then: with a code that is no verdict's."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # what is still held would fail at the interpreter's end, where nobody catches it
    except BrokenPipeError:
        _leave_closed_pipe()
    except SystemExit as end:
        # rich knows a closed pipe too, and ends with code 1, which is a regression here.
        if isinstance(end.__context__, BrokenPipeError):
            _leave_closed_pipe()
        raise


def _leave_closed_pipe() -> NoReturn:
    """End without another word: what is still held goes nowhere (the recipe of Python's manual for SIGPIPE)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    sys.exit(CLOSED_PIPE)


def fail(error: EvalkitError) -> None:
    click.echo("\n".join(f"evalkit: {visible(line)}" for line in str(error).splitlines()), err=True)
    sys.exit(error.exit_code)
