"""Commands that measure nothing: suites looked at, metrics listed, this machine examined, the lab built."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.errors import Command, Group

if TYPE_CHECKING:
    from evalkit.suite.opinion_layouts import Layout


@click.group(cls=Group)
def suite() -> None:
    """Look at suites without running them."""


@suite.command("schema")
def suite_schema() -> None:
    """Print the JSON Schema of a suite file."""
    from evalkit.suite.schema import suite_schema as schema

    click.echo(json.dumps(schema(), indent=2))


@suite.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def suite_check(file: Path) -> None:
    """Check a suite FILE and the folders that it names; nothing is loaded or fetched."""
    from evalkit.errors import SuiteError
    from evalkit.inference.parameters import check_parameters
    from evalkit.plumbing.prose import counted
    from evalkit.suite.on_disk import look
    from evalkit.suite.schema import load_suite

    checked = load_suite(file)
    looked = look(checked, file)
    for note in looked.notes:
        click.echo(f"note: {note}", err=True)
    if looked.faults:
        raise SuiteError("\n".join(looked.faults))
    check_parameters(checked)
    sizes = {"prompt": checked.prompts, "checkpoint": checked.checkpoints, "metric": checked.metrics}
    counts = ", ".join(counted(len(members), noun) for noun, members in sizes.items())
    click.echo(f"{file}: all right ({counts})")


@suite.command("import-opinions")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="SUITE.yaml",
    help="Write the suite here, and SUITE-groups.jsonl beside it, over what is there.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["globalopinionqa", "opinionqa"]),
    help="The file's layout; default: seen from its first row.",
)
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Take this group; repeat it. Default: all.")
def suite_import_opinions(file: Path, out: Path, layout: Layout | None, groups: tuple[str, ...]) -> None:
    """Make a suite of the survey in FILE: its questions, and what groups of people answered to them."""
    from evalkit.errors import SuiteError
    from evalkit.plumbing.prose import counted, listed
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.suite.import_opinions import MANY, chosen_groups, write_suite
    from evalkit.suite.opinion_layouts import read_survey
    from evalkit.suite.prompts import file_rows

    survey = read_survey(file_rows(file, str(file)), layout)
    for why, places in survey.left_out.items():
        click.echo(f"note: {counted(len(places), 'row')} left out: {why} (first: {places[0]})", err=True)
    for why, places in survey.answers_left_out.items():
        click.echo(f"note: {counted(len(places), 'group answer')} left out: {why} (first: {places[0]})", err=True)
    if survey.made_to_add_up:
        click.echo(
            f"note: shares of {counted(len(survey.made_to_add_up), 'group answer')} add up neither to 1 nor to "
            f"100; they were made to (first: {survey.made_to_add_up[0]})",
            err=True,
        )
    if survey.not_offered:
        click.echo(f"note: taken for no opinion and left out: {listed(sorted(survey.not_offered))}", err=True)
    if not survey.questions:
        raise SuiteError(f"{file} holds no question with choices and groups' answers")
    taken = chosen_groups(survey, groups)
    if len(taken) > MANY:
        click.echo(
            f"note: {len(taken)} groups, each with a row of its own in the report; --group NAME takes some, as in "
            f"{listed(f'--group {name!r}' for name in taken[:2])}",
            err=True,
        )
    check_place(out)
    answers, written = write_suite(out, survey, taken, file.name)
    ordered = sum(question.ordered for question in written)
    click.echo(
        f"{out}: {counted(len(written), 'question')}, {ordered} ordered; {answers}: {counted(len(taken), 'group')}"
    )


@click.command(cls=Command)
@click.argument("name", required=False)
def metrics(name: str | None) -> None:
    """List the metrics there are, or say all about one."""
    import inspect
    import shutil

    from evalkit.cli.metric_list import catalogue
    from evalkit.metrics.registry import define, definitions, split_variant

    if name is not None:
        metric = define(split_variant(name)[1].partition("|")[0])
        traits = metric.traits
        family = f"; family: {traits.family}" if traits.side != "neither" else ""
        click.echo(f"{metric.name}  (unit: {metric.unit}; better: {metric.better}; side: {traits.side}{family})")
        click.echo(
            f"Source: {metric.cites or 'our own definition'}. Needs: {', '.join(sorted(metric.needs)) or 'texts'}.\n"
        )
        click.echo(inspect.getdoc(metric.function) or "")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo("\n".join(catalogue(definitions().values(), width)))


@click.command(cls=Command)
def doctor() -> None:
    """Say what this machine can do, what is missing, and the command that adds it."""
    from evalkit.cli.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(f"{'ok     ' if finding.good else 'missing'}  {finding.subject}: {finding.text}")
        if finding.remedy:
            click.echo(f"         -> {finding.remedy}")


@click.group(cls=Group)
def lab() -> None:
    """The built-in world whose truth is known."""


@lab.command("build")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the checkpoints; default: inside the package.",
)
def lab_build(out: Path | None) -> None:
    """Make the lab's checkpoints anew from their recipe (some minutes on two cores)."""
    from evalkit.lab import CHECKPOINTS
    from evalkit.lab.build import build

    for name, folder in build(out or CHECKPOINTS).items():
        click.echo(f"{name}: {folder}")
