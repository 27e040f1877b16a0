"""What many commands share: the engine, and --quiet and --json-lines, handed on as one listener."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
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
    help="vllm, transformers, openai, openai-batch, or auto: vllm where installed. "
    "ray[:NAME][@ADDRESS]: on a Ray cluster.",
)


def pairs_of(form: str, texts: Iterable[str], example: str = "") -> dict[str, str]:
    """What stands left of each `=` -> what stands right of it. `form`: what a pair looks like, as in `NAME=PATH`.

    Raises `BadParameter`.
    """
    pairs = {}
    for text in texts:
        left, equals, right = text.partition("=")
        if not (left and equals and right):
            raise click.BadParameter(f"{text!r} is not of the form {form}{example and f', as in {example}'}")
        pairs[left] = right
    return pairs


def columns_of(given: Iterable[str], example: str) -> dict[str, str]:
    """Field -> column of FIELD=COLUMN, several of them after commas. Raises `BadParameter`."""
    return pairs_of("FIELD=COLUMN", (pair.strip() for text in given for pair in text.split(",")), example)


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
