"""`evalkit export`: a finished run's completions for people and other tools."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.errors import Command
from evalkit.plumbing.files import write_file

FORMATS = ("jsonl", "csv", "parquet", "inspect", "trl")


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to; default: the run's name, here. Inspect's logs are one an arm, named FILE-ARM.",
)
def export(run: Path, to: str, out: Path | None) -> None:
    """Write all completions of RUN with prompts, arms, settings and scores; evalkit score reads them back."""
    from evalkit.runs.export import export_run

    for path, content in export_run(run, to, out).items():
        write_file(path, content)
        click.echo(path)
