"""--log: a command's result goes to trackers, which were tried before its work began; `evalkit log` sends it later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.errors import Command
from evalkit.cli.options import output_options
from evalkit.errors import EvalkitError

if TYPE_CHECKING:
    from evalkit.plumbing.progress import Listener
    from evalkit.report.trackers import Record, Tracker

NAMES = click.Choice(["wandb", "mlflow", "trackio", "tensorboard"])
PROJECT = "The project or experiment there. Default: what the tracker's own environment names, else evalkit."


@dataclass(frozen=True, slots=True)
class Log:
    """The trackers that a command's result goes to; none where none was asked for."""

    trackers: Sequence[Tracker]
    tell: Listener

    def send(self, records: Callable[[], Sequence[Record]]) -> None:
        """Make the records and send them. Whatever fails is a note: the command has done its work by now."""
        from evalkit.report.trackers import send

        if not self.trackers:
            return
        self.tell.close()
        try:
            made = records()
        except EvalkitError as error:
            self.tell.note(f"nothing is logged: {error}")
            return
        for record in made:
            send(self.trackers, record, self.tell.note)

    def send_run(self, folder: Path) -> None:
        self.send(lambda: records_of(folder))


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--log and --log-project, handed on as one `Log` of trackers that could each open a run."""

    @click.option("--log", "names", multiple=True, type=NAMES, help="Log the result to this tracker; repeat for more.")
    @click.option("--log-project", metavar="NAME", help=f"With --log: {PROJECT[0].lower()}{PROJECT[1:]}")
    @wraps(command)
    def with_log(*args: Any, names: tuple[str, ...], log_project: str | None, tell: Listener, **kwargs: Any) -> Any:
        if log_project is not None and not names:
            raise click.UsageError("--log-project goes with --log")
        return command(*args, log=Log(_opened(names, log_project), tell), tell=tell, **kwargs)

    return with_log


def _opened(names: Sequence[str], project: str | None) -> Sequence[Tracker]:
    if not names:
        return ()
    from evalkit.report.trackers import open_trackers

    return open_trackers(names, project)


@click.command("log", cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "names", multiple=True, required=True, type=NAMES, help="The tracker; repeat for more.")
@click.option("--project", metavar="NAME", help=PROJECT)
@output_options
def log(run: Path, names: tuple[str, ...], project: str | None, tell: Listener, quiet: bool) -> None:
    """Log a finished RUN, or a finished training, to trackers. A second time makes a second run there."""
    from evalkit.report.trackers import open_trackers, send

    records = records_of(run)
    trackers = open_trackers(names, project)
    failed = [error for record in records for error in send(trackers, record, tell.note)]
    if failed:
        raise failed[0]


def records_of(folder: Path) -> Sequence[Record]:
    """What a run's or a training's folder tells. Raises `EvalkitError`s."""
    from evalkit.report.trackers import run_record
    from evalkit.training.output.tracking import is_training, training_records

    return training_records(folder) if is_training(folder) else [run_record(folder)]
