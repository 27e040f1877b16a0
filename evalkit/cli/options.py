"""What many commands share: the engine, and --quiet and --json-lines, handed on as one listener."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from evalkit.plumbing.progress import Listener

engine_option = click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="vllm, transformers, openai, openai-batch, or auto: vllm where installed.",
)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--quiet and --json-lines, handed on as one listener."""

    @click.option("--quiet", is_flag=True, help="Print the result's path alone; notes go to standard error.")
    @click.option("--json-lines", is_flag=True, help="Progress as JSON lines on standard error, for CI.")
    @wraps(command)
    def with_listener(*args: Any, quiet: bool, json_lines: bool, **kwargs: Any) -> Any:
        with _listening(quiet, json_lines) as tell:
            return command(*args, tell=tell, quiet=quiet, **kwargs)

    return with_listener


@contextmanager
def _listening(quiet: bool, json_lines: bool) -> Iterator[Listener]:
    from evalkit.plumbing.progress import Bars, JsonLines, Lines, Quiet

    shown: Listener = Bars() if sys.stderr.isatty() else Lines()
    tell: Listener = JsonLines() if json_lines else Quiet() if quiet else shown
    try:
        yield tell
    finally:
        tell.close()
