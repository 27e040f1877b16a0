"""`evalkit publish`: finished runs become a site."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.errors import Command
from evalkit.plumbing.prose import counted


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--to", "place", required=True, metavar="PLACE", help="A folder, hf://spaces/ORG/NAME or hf://datasets/ORG/NAME."
)
def publish(runs: tuple[Path, ...], place: str) -> None:
    """Add finished RUNs to a static site, or replace them there.

    The site is an index and, of each run, its page (with the completions that it shows) and summary.json. Nothing that
    publish did not write is written over or deleted.
    """
    from evalkit.report.hub import publish_to_hub
    from evalkit.report.site import publish as publish_to_folder

    if "://" in place:
        listed = publish_to_hub(runs, place)
        click.echo(f"Site: {place} ({counted(len(listed), 'run')}; a place that was made now is private)")
    else:
        listed = publish_to_folder(runs, Path(place))
        click.echo(f"Site: {Path(place) / 'index.html'} ({counted(len(listed), 'run')})")
