"""The door's third wing: `evalkit report` and `evalkit compare`, which read what finished runs left behind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.errors import Command
from evalkit.cli.options import output_options

if TYPE_CHECKING:
    from evalkit.plumbing.progress import Listener


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write the page here. Default: RUN/report.html; of several runs comparison.html, with --history history.html.",
)
@click.option("--history", is_flag=True, help="A line per metric over the runs' times; reads no completions.")
@click.option(
    "--common-prompts",
    is_flag=True,
    help="With --history, where the suite changed: lines over the prompts that all runs asked alike.",
)
@output_options
def report(
    runs: tuple[Path, ...], out: Path | None, history: bool, common_prompts: bool, tell: Listener, quiet: bool
) -> None:
    """Make the report of a finished RUN again, or one report of several runs of the same prompts.

    The first run is what the others are compared with. Nothing is sampled or measured; texts of several runs are
    embedded again for one map of them all.
    """
    if common_prompts and not history:
        raise click.UsageError(
            "--common-prompts goes with --history; a report of several runs always goes by the prompts that all asked"
        )
    from evalkit.report.html.page_file import write_page

    page, breaks = _history(runs, common_prompts) if history else (_report(runs, tell), ())
    chosen = out or (Path("history.html") if history else _default(runs))
    write_page(chosen, page)
    tell.close()
    for line in breaks:
        if quiet:
            tell.note(line)
        else:
            click.echo(line)
    click.echo(str(chosen) if quiet else f"Report: {chosen}")


@click.command(cls=Command)
@click.argument("a")
@click.argument("b")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; repeat it for several.")
@click.option(
    "--common-prompts",
    is_flag=True,
    help="Where the suite changed: go by the prompts that both asked alike, and name the others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(a: str, b: str, metrics: tuple[str, ...], common_prompts: bool, as_json: bool) -> None:
    """B minus A, metric by metric, paired by prompt.

    A and B are run folders, summary.json files, saved baselines, or files of completions that another tool wrote
    (`evalkit score` tells their kinds); each with an arm if you like: RUN:ARM. Exit code 0 whatever is found.
    """
    from evalkit.gate.compare import compare_sides, read_named_side

    comparison = compare_sides(read_named_side(a), read_named_side(b), metrics, common_prompts)
    if as_json:
        from evalkit.gate.formats.compare import to_json

        click.echo(to_json(comparison))
    else:
        from evalkit.gate.formats.compare import show

        show(comparison)


def _report(runs: tuple[Path, ...], tell: Listener) -> str:
    from evalkit.report.content.merge import merge
    from evalkit.report.content.read import read_content
    from evalkit.report.page import build_report

    contents = [read_content(run, tell) for run in runs]
    content = contents[0] if len(runs) == 1 else merge(runs, contents, tell)
    return build_report(content, tell)


def _history(runs: tuple[Path, ...], common_prompts: bool) -> tuple[str, tuple[str, ...]]:
    """The page, and where its lines break."""
    from evalkit.report.history.page import history_page
    from evalkit.report.history.read import read_history

    history = read_history(runs, common_prompts)
    return history_page(history), history.breaks


def _default(runs: tuple[Path, ...]) -> Path:
    return runs[0] / "report.html" if len(runs) == 1 else Path("comparison.html")
