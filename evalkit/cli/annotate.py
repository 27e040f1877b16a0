"""`evalkit annotate`: a local page on which people choose between two completions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.errors import Command
from evalkit.plumbing.prose import counted

if TYPE_CHECKING:
    from evalkit.preferences.annotate.settings import TaskSettings


@click.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path), metavar="PAIRS.jsonl|RUN")
@click.option("--group", required=True, metavar="NAME", help="The group of all raters who answer here.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another interface needs --token and --rater.")
@click.option(
    "--token",
    envvar="EVALKIT_ANNOTATE_TOKEN",
    metavar="SECRET",
    help="Each rater's link then holds a key made of it. Better given as EVALKIT_ANNOTATE_TOKEN.",
)
@click.option(
    "--rater", "raters", multiple=True, metavar="NAME", help="Who may answer; repeat it. Default: all who give a name."
)
@click.option("--tie/--no-tie", default=True, show_default=True, help="Whether two may be equally good.")
@click.option("--both-bad/--no-both-bad", default=True, show_default=True, help="Whether both may be bad.")
@click.option("--strength", is_flag=True, help="Ask how much better: slightly, clearly or far.")
@click.option("--reason", is_flag=True, help="Ask for a reason, which may be left out.")
@click.option(
    "--instructions", type=click.Path(path_type=Path), metavar="FILE.md", help="What raters are told; Markdown or text."
)
@click.option(
    "--overlap", type=click.IntRange(1), default=1, show_default=True, help="How many raters each pair goes to."
)
@click.option(
    "--repeats",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Share of each rater's pairs that come again with the sides swapped.",
)
@click.option(
    "--gold",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Pairs whose right choice is known: checks of attention.",
)
@click.option(
    "--gold-every",
    type=click.IntRange(2),
    default=10,
    show_default=True,
    metavar="N",
    help="One check in so many pairs.",
)
@click.option("--silent-gold", is_flag=True, help="Do not tell raters which check they missed.")
@click.option(
    "--fastest",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="A choice made sooner is a failed check. Default: none is.",
)
@click.option(
    "--warn-at",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    metavar="N",
    help="Warn raters from so many failed checks on.",
)
@click.option(
    "--stop-at",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="At so many, their answers stop to count.",
)
@click.option(
    "--choose",
    type=click.Choice(["active", "uniform"]),
    default="active",
    show_default=True,
    help="Of a RUN: pairs whose outcome the votes so far leave open come up more often, or all alike.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of orders and sides.")
def annotate(source: Path, **options: Any) -> None:
    """Let people choose between two completions, on a page in their browser.

    Of a file of pairs everyone of the group is asked about each, in an order by chance, until as many raters as
    --overlap says have answered. Of a finished RUN pairs of arms are drawn, each arm against its baseline, and the
    chance of each is kept, so that win rates are unbiased. Who made which completion is not shown. Every answer is on
    disk before the next pair shows; Ctrl-C ends the server, and the same command goes on.
    """
    _needs_the_annotate_extra()
    from evalkit.errors import Interrupted
    from evalkit.plumbing.unread import say
    from evalkit.preferences.annotate.guard import Guard
    from evalkit.preferences.annotate.serve import bound, check_access, links, make_server
    from evalkit.preferences.annotate.task import open_task

    host, token = options.pop("host"), options.pop("token")
    port, gold, choose = options.pop("port"), options.pop("gold"), options.pop("choose")
    raters = [rater.strip() for rater in options.pop("raters")]
    check_access(host, token, raters)
    task = open_task(source, _settings(**options), gold, say, is_active=choose == "active")
    try:
        with bound(host, port) as listening:
            # It listens already, so that whoever opens a link now is answered soon.
            for rater, link in links(host, listening.getsockname()[1], token, raters).items():
                click.echo(f"Open {link}" if not rater else f"{rater}: {link}")
            click.echo(f"Answers: {task.store.path}\nCtrl-C ends it.")
            with suppress(KeyboardInterrupt):
                make_server(task.desk, Guard(host, token, raters)).run(sockets=[listening])
        told = f"{counted(task.desk.answers(), 'answer')} of {task.desk.settings.group} in {task.store.path}"
        raise Interrupted(f"ended; {told}; the same command goes on")
    finally:
        task.store.close()


def _settings(
    group: str,
    tie: bool,
    both_bad: bool,
    strength: bool,
    reason: bool,
    instructions: Path | None,
    silent_gold: bool,
    **numbers: Any,
) -> TaskSettings:
    from evalkit.errors import InputError
    from evalkit.preferences.annotate.instructions import read_instructions
    from evalkit.preferences.annotate.settings import TaskSettings, checked_name

    if numbers["warn_at"] > numbers["stop_at"]:
        raise InputError("--warn-at is above --stop-at: raters would be stopped without a warning")
    return TaskSettings(
        checked_name("--group", group),
        allows_tie=tie,
        allows_both_bad=both_bad,
        asks_strength=strength,
        asks_reason=reason,
        instructions="" if instructions is None else read_instructions(instructions),
        is_gold_silent=silent_gold,
        **numbers,
    )


def _needs_the_annotate_extra() -> None:
    from importlib.util import find_spec

    from evalkit.errors import InputError

    if missing := [name for name in ("starlette", "uvicorn", "markdown_it") if find_spec(name) is None]:
        raise InputError(f"the page needs {missing[0]}; install it with: pip install 'evalkit[annotate]'")
