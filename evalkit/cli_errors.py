"""Click commands and groups that show a mistake as lines of text with its exit code; files that a command writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from evalkit.cache import write_atomically
from evalkit.errors import EvalkitError, Interrupted, StoreError


class Command(click.Command):
    """Shows an `EvalkitError` as lines of text with its exit code, never as a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            fail(Interrupted("interrupted; what was sampled is kept, and the same command goes on from there"))
        except EvalkitError as error:
            fail(error)
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output has gone; there is nobody to tell
            sys.exit(1)


class Group(click.Group):
    command_class = Command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(context), n=1)
            if not close or "Did you mean" in error.message:
                raise
            raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", context) from None


Group.group_class = Group


def fail(error: EvalkitError) -> None:
    click.echo("\n".join(f"evalkit: {line}" for line in str(error).splitlines()), err=True)
    sys.exit(error.exit_code)


def write(path: Path, content: bytes) -> None:
    """Write a file that the user asked for, whole or not at all. Raises `StoreError`."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"{path} could not be written: {error.strerror}") from error
