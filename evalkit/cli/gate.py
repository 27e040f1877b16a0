"""The door's second wing: `evalkit gate` and `evalkit baseline`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from evalkit.cli.errors import Command, Group
from evalkit.errors import EvalkitError, StoreError
from evalkit.plumbing.files import write_file, writing
from evalkit.plumbing.terminal import visible, visible_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.cli.tracking import Log
    from evalkit.gate.ruling import Ruling
    from evalkit.plumbing.progress import Listener
    from evalkit.suite.gate_policy import Inconclusive
    from evalkit.suite.schema import Suite

SHARE = click.FloatRange(0, 1, min_open=True)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=Command)
@click.argument("run")
@click.option(
    "--baseline",
    metavar="WHAT",
    help="As RUN, or a saved baseline; default: RUN itself, each arm against its own baseline.",
)
@click.option(
    "--policy", "policy_file", type=FILE, metavar="FILE", help="Default: the suite's `gate`, else the default."
)
@click.option("--arm", "arms", multiple=True, metavar="NEW=OLD", help="Compare these arms; repeat it for several.")
@click.option(
    "--inconclusive",
    type=click.Choice(["pass", "fail"]),
    help="What to make of data that cannot tell; else exit code 3.",
)
@click.option(
    "--common-prompts",
    is_flag=True,
    help="Where the suite changed: judge by the prompts that both sides asked alike, and name the others.",
)
@click.option(
    "--least-common",
    type=SHARE,
    metavar="SHARE",
    help="With --common-prompts: the share of either side's prompts that a pass needs; default: 0.8.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--junit", type=FILE, metavar="FILE", help="Write JUnit XML.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write a comment for a pull request.")
def gate(run: str, baseline: str | None, policy_file: Path | None, arms: tuple[str, ...], inconclusive: str | None,
         common_prompts: bool, least_common: float | None, as_json: bool, junit: Path | None,
         markdown: Path | None) -> None:  # fmt: skip
    """Refuse RUN if it lost more than the policy allows.

    RUN is a run's folder, a summary.json, or a file of completions that another tool wrote (`evalkit score` tells their
    kinds).

    Exit codes: 0 pass; 1 regression; 2 wrong use, or two runs that cannot be compared; 3 the data cannot tell; 141 the
    reader of the output went away. The files are written in each of these cases.
    """
    if least_common is not None and not common_prompts:
        raise click.UsageError("--least-common goes with --common-prompts")
    try:
        ruling = _judge(run, baseline, policy_file, arms, inconclusive, common_prompts, least_common)
        _leave_verdict(ruling, run, junit, markdown)
    except EvalkitError as error:
        _leave_failure(error, run, baseline, as_json, junit, markdown)
        raise
    # Whoever reads the output may go away; the files are there by now.
    _tell(ruling, as_json)
    sys.exit(ruling.exit_code)


def _judge(
    run: str,
    baseline: str | None,
    policy_file: Path | None,
    arms: Sequence[str],
    inconclusive: str | None,
    common_prompts: bool,
    least_common: float | None,
) -> Ruling:
    from evalkit.gate.baselines import chosen_policy, read_side
    from evalkit.gate.ruling import judge_sides
    from evalkit.gate.sides import read_pair

    new = read_side(run)
    old = new if baseline is None else read_side(baseline)
    policy, source = chosen_policy(run, policy_file)
    pairs = [read_pair(text, new, old) for text in arms]
    undecided = cast("Inconclusive | None", inconclusive)
    return judge_sides(new, old, policy, source, pairs, undecided, common_prompts, least_common)


def _leave_verdict(ruling: Ruling, run: str, junit: Path | None, markdown: Path | None) -> None:
    """Write the files that were asked for, and the step's outputs. Raises `StoreError`."""
    from evalkit.gate.formats.junit import to_junit
    from evalkit.gate.formats.markdown import to_markdown

    if markdown is not None:
        write_file(markdown, to_markdown(ruling.verdict).encode("utf-8", "replace"))
    if junit is not None:
        write_file(junit, to_junit(ruling.verdict, ruling.inconclusive, datetime.now(UTC)))
    _set_outputs(ruling.verdict.outcome, ruling.exit_code, run)


def _leave_failure(
    error: EvalkitError, run: str, baseline: str | None, as_json: bool, junit: Path | None, markdown: Path | None
) -> None:
    """Say wherever a verdict would stand that there is none: what an earlier commit left there would pass for it."""
    from evalkit.gate.baselines import suite_of
    from evalkit.gate.formats.as_json import failure_to_json
    from evalkit.gate.formats.failure import VERDICT, Failure
    from evalkit.gate.formats.github import failure_annotation
    from evalkit.gate.formats.junit import failure_to_junit
    from evalkit.gate.formats.markdown import failure_to_markdown

    failure = Failure(tuple(str(error).splitlines()), error.exit_code, suite_of(run, baseline))
    for path, content in (
        (markdown, failure_to_markdown(failure).encode("utf-8", "replace")),
        (junit, failure_to_junit(failure, datetime.now(UTC))),
    ):
        try:
            if path is not None:
                write_file(path, content)
        except StoreError as second:
            if str(second) != str(error):
                click.echo(f"evalkit: {visible(str(second))}", err=True)
    _set_outputs(VERDICT, error.exit_code, run)
    if as_json:
        click.echo(failure_to_json(failure))
    if _on_github():
        click.echo(failure_annotation(failure), err=as_json)


def _tell(ruling: Ruling, as_json: bool) -> None:
    if as_json:
        from evalkit.gate.formats.as_json import to_json

        click.echo(to_json(ruling.verdict, ruling.exit_code, ruling.policy))
    else:
        from evalkit.gate.formats.terminal import show

        show(ruling.verdict, ruling.policy)
    if _on_github():
        from evalkit.gate.formats.github import to_annotations

        # With --json, standard output is for the program that reads it; the runner reads both.
        for line in to_annotations(ruling.verdict):
            click.echo(line, err=as_json)


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _set_outputs(verdict: str, code: int, run: str) -> None:
    """In a step of GitHub Actions: its outputs `verdict`, `exit-code` and `report`. Raises `StoreError`."""
    from evalkit.gate.baselines import report_of
    from evalkit.gate.formats.github import to_outputs

    file = os.environ.get("GITHUB_OUTPUT")
    if not (_on_github() and file):
        return
    report = report_of(run)
    with writing(Path(file)), Path(file).open("a", encoding="utf-8", errors="replace") as outputs:
        outputs.write(to_outputs(verdict, code, str(report or "")))


@click.command(cls=Command)
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--pilot", required=True, metavar="RUN", help="The folder of a run of SUITE to plan from.")
@click.option("--loss", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1, show_default=True,
              help="The loss to find, a share of the baseline's mean.")  # fmt: skip
@click.option("--power", "chance", type=click.FloatRange(0.5, 1, max_open=True), default=0.9, show_default=True,
              help="The chance to find it.")  # fmt: skip
@click.option(
    "--policy", "policy_file", type=FILE, metavar="FILE", help="Default: the suite's `gate`, else the default."
)
@click.option("--arm", "arms", multiple=True, metavar="NEW=OLD",
              help="Plan for these arms of the pilot; one against itself stands for a release like it.")  # fmt: skip
def power(suite: Path, pilot: str, loss: float, chance: float, policy_file: Path | None, arms: tuple[str, ...]) -> None:
    """How many prompts and completions a prompt the gate needs to find a loss, and what they cost."""
    from evalkit.gate.baselines import read_side
    from evalkit.gate.formats.power import show
    from evalkit.gate.power_analysis import plan_size
    from evalkit.gate.sides import read_pair
    from evalkit.plumbing.progress import Quiet
    from evalkit.suite.gate_policy import DEFAULT, read_policy
    from evalkit.suite.schema import load_suite

    loaded_suite = load_suite(suite)
    policy = read_policy(policy_file) if policy_file is not None else loaded_suite.gate or DEFAULT
    side = read_side(pilot)
    pairs = [read_pair(text, side, side) for text in arms]
    show(plan_size(loaded_suite, pilot, policy, loss, chance, pairs, Quiet()), loss, chance)


def decide_early(suite: Suite, policy_file: Path, baseline: str | None, engine: str, out: Path | None, log: Log,
                 tell: Listener, command: Sequence[str], fresh: bool, tags: Sequence[str],
                 quiet: bool) -> None:  # fmt: skip
    """The rest of `evalkit run --until-decided`: run, show the verdict, exit as the gate does."""
    from evalkit.gate.baselines import read_side
    from evalkit.gate.decide import exit_code
    from evalkit.gate.formats.terminal import show
    from evalkit.gate.sequential_run import run_until_decided
    from evalkit.suite.gate_policy import read_policy

    policy = read_policy(policy_file)
    old = None if baseline is None else read_side(baseline)
    decided = run_until_decided(suite, policy, old, engine, out, tell, command, fresh, tags)
    tell.close()
    log.send_run(decided.run.folder)
    if quiet:
        click.echo(decided.run.report)
    else:
        show(decided.verdict, str(policy_file))
        click.echo(f"Asked {decided.prompts_asked} of {decided.prompts_planned} prompts. Report: {decided.run.report}")
    sys.exit(exit_code(decided.verdict, policy.inconclusive))


@click.group(cls=Group)
def baseline() -> None:
    """What releases measured, in small files to commit (baselines/NAME.json)."""


@baseline.command("save")
@click.argument("run")
@click.argument("name")
def baseline_save(run: str, name: str) -> None:
    """Save the numbers of RUN as the baseline NAME."""
    from evalkit.gate.baselines import save

    click.echo(save(run, name))


@baseline.command("list")
def baseline_list() -> None:
    """List the baselines that are saved here."""
    from evalkit.gate.baselines import saved

    for baseline in saved():
        summary = baseline.side.summary
        arms = ", ".join(arm.name for arm in summary.arms)
        size = f"{len(summary.prompts)} prompts, arms {arms}, {baseline.size:,} bytes"
        click.echo(visible(f"{baseline.name}  {summary.suite}, {size}"))


@baseline.command("show")
@click.argument("name")
def baseline_show(name: str) -> None:
    """Print the numbers of a baseline."""
    from rich.console import Console
    from rich.table import Table

    from evalkit.gate.baselines import load
    from evalkit.report.wording import label, value_text

    baseline = load(name)
    table = Table("measure", "arm", "value", "prompts", "completions", box=None, header_style="bold")
    for estimate in baseline.side.summary.estimates:
        counts = (str(estimate.prompts), str(estimate.samples))
        table.add_row(
            *(visible_text(cell) for cell in (label(estimate.metric), estimate.arm, value_text(estimate), *counts))
        )
    Console().print(table)
