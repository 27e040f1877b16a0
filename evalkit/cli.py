"""The door: click commands that parse, call and print. Heavy imports stand inside the commands that need them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from evalkit import __version__
from evalkit.cli_errors import Group, write
from evalkit.cli_gate import baseline as baseline_group
from evalkit.cli_gate import decide, gate, power
from evalkit.cli_report import compare, report
from evalkit.tokenizer import Asked

if TYPE_CHECKING:
    from evalkit.progress import Listener
    from evalkit.records import Summary
    from evalkit.suite import Suite

EPILOG = """Exit codes: 0 done, the gate passes; 1 failed, a regression; 2 the input cannot be used (suite, checkpoint,
metric, file, option) or compared; 3 the gate cannot tell; 4 an engine failed; 5 the run folder cannot be written;
130 interrupted (what was sampled is kept); 141 the output's reader went away, as in "| head -1", and no verdict."""


@click.group(
    cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="evalkit")
def main() -> None:
    """What did preference tuning do to a model, and is it what you want?

    evalkit samples a suite of prompts from base and tuned checkpoints, measures quality and diversity with intervals,
    and writes a report that says what the tuning gained and what it cost.
    """


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
    from evalkit.progress import Bars, JsonLines, Lines, Quiet

    shown: Listener = Bars() if sys.stderr.isatty() else Lines()
    tell: Listener = JsonLines() if json_lines else Quiet() if quiet else shown
    try:
        yield tell
    finally:
        tell.close()


def _models(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    models = {}
    for pair in given:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{pair!r} is not of the form NAME=PATH")
        models[name] = path
    return models


@main.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=PATH",
    callback=_models,
    help="Use this folder, hub id or server URL for the suite's checkpoint NAME; a new name adds a tuned checkpoint.",
)
@click.option("--samples", type=int, metavar="N", help="Completions a prompt.")
@click.option(
    "--temperature",
    "temperatures",
    type=float,
    multiple=True,
    metavar="T",
    help="Sampling temperature; repeat for several arms.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="vllm, transformers, openai, or auto: vllm where installed.",
)
@click.option("--prompts", type=int, metavar="N", help="Only the first N prompts.")
@click.option(
    "--reward",
    "rewards",
    multiple=True,
    metavar="MODEL",
    help="Use this reward model (folder or hub id) in place of the suite's; repeat for several groups of raters.",
)
@click.option(
    "--judge",
    metavar="MODEL",
    help="Have this model, by its name on the server at EVALKIT_JUDGE_URL, compare answers, in place of the suite's.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The run folder itself; the same command on it resumes. Default: a new folder under reports/.",
)
@click.option(
    "--until-decided",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="POLICY",
    help="Ask in blocks and stop when the gate's verdict by this policy file is settled; exit as the gate does.",
)
@click.option("--fresh", is_flag=True, help="Sample anew: take nothing from the cache of earlier runs.")
@click.option("--seed", type=int, metavar="N", help="Draw other samples: the suite's seed, from which all others come.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="Write this label in the manifest; repeat for more.")
@click.option("--dry-run", is_flag=True, help="Say what the run would ask for, and how long it takes; load nothing.")
@click.option(
    "--price-per-million",
    "prices",
    metavar="IN,OUT",
    help="With --dry-run: prices of a million prompt and completion tokens, to say what the run would cost.",
)
@click.option("--baseline", metavar="WHAT", help="With --until-decided: what the gate compares with; see evalkit gate.")
@output_options
def run(suite: Path, models: dict[str, str], samples: int | None, temperatures: tuple[float, ...], engine: str,
        prompts: int | None, rewards: tuple[str, ...], judge: str | None, out: Path | None, policy_file: Path | None,
        fresh: bool, seed: int | None, tags: tuple[str, ...], dry_run: bool, prices: str | None, baseline: str | None,
        tell: Listener, quiet: bool) -> None:  # fmt: skip
    """Sample SUITE from its checkpoints, measure, and write a report."""
    from evalkit.run import run_suite
    from evalkit.suite import load_suite, overrides

    changes = overrides(models, samples, temperatures or None, prompts, rewards, judge, seed)
    asked = load_suite(suite, changes, tell.note)
    command = ["evalkit", *sys.argv[1:]]
    if dry_run:
        _forecast(asked, engine, out, fresh, prices, tell)
        if policy_file is not None:
            click.echo("That is for all prompts; --until-decided may stop earlier.")
        return
    if prices is not None:
        raise click.UsageError("--price-per-million goes with --dry-run")
    if policy_file is not None:
        decide(asked, policy_file, baseline, engine, out, tell, command, fresh, tags, quiet)
        return
    if baseline is not None:
        raise click.UsageError("--baseline goes with --until-decided; to gate a run that is there, use evalkit gate")
    result = run_suite(asked, engine, out, tell, command, fresh, tags)
    tell.close()
    if not quiet:
        _print_verdict(result.summary)
        click.echo(f"Report: {result.report}")
    else:
        click.echo(result.report)


def _forecast(suite: Suite, engine: str, out: Path | None, fresh: bool, prices: str | None, tell: Listener) -> None:
    from evalkit.announce.forecast import show_forecast
    from evalkit.forecast import forecast, read_prices
    from evalkit.run import default_folder, plan_in

    folder = out or default_folder(suite)
    priced = None if prices is None else read_prices(prices)
    found = forecast(plan_in(folder, suite, engine, tell), folder, fresh)
    tell.close()
    show_forecast(found, priced)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--metrics",
    metavar="A,B",
    help="Metrics, comma separated, as in distinct_n,'distinct_n|n:3'. Default: all that texts allow.",
)
@click.option("--baseline", metavar="ARM", help="The arm the others are compared with; default: the first in the file.")
@click.option(
    "--tokenizer",
    default="auto",
    show_default=True,
    type=click.Choice(get_args(Asked)),
    help="What splits texts into words; auto: 13a, or characters for scripts without spaces.",
)
@click.option("--suite", metavar="NAME", help="The name under which the results stand; default: the file's.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html", help="Write the report here."
)
@output_options
def score(
    file: Path,
    metrics: str | None,
    baseline: str | None,
    tokenizer: Asked,
    suite: str | None,
    as_json: bool,
    report: Path | None,
    tell: Listener,
    quiet: bool,
) -> None:
    """Measure completions made elsewhere: FILE is JSONL with prompt_id, prompt, completion (or completions), arm."""
    from evalkit.summary import to_json
    from evalkit.texts import score_file

    names = [] if metrics is None else [name.strip() for name in metrics.split(",")]
    if not all(names):
        raise click.UsageError(
            f"--metrics {metrics!r} names {'an empty metric' if any(names) else 'no metric'}; write them with commas "
            "between, as in distinct_n,length, or leave --metrics out for all that texts allow"
        )
    scored = score_file(file, names, baseline, tell, tokenizer, suite)
    tell.close()
    if report is not None:
        write(report, scored.page)
    if as_json:
        click.echo(to_json(scored.summary))
    elif not quiet:
        _print_verdict(scored.summary)
    if report is not None and not as_json:
        click.echo(f"Report: {report}")


@main.group()
def suite() -> None:
    """Look at suites without running them."""


@suite.command("schema")
def suite_schema() -> None:
    """Print the JSON Schema of a suite file."""
    from evalkit.suite import suite_schema as schema

    click.echo(json.dumps(schema(), indent=2))


@suite.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def suite_check(file: Path) -> None:
    """Check a suite FILE and the folders that it names; nothing is loaded or fetched."""
    from evalkit.errors import SuiteError
    from evalkit.on_disk import look
    from evalkit.report.wording import counted
    from evalkit.suite import load_suite

    found = load_suite(file)
    looked = look(found, file)
    for note in looked.notes:
        click.echo(f"note: {note}", err=True)
    if looked.faults:
        raise SuiteError("\n".join(looked.faults))
    sizes = {"prompt": found.prompts, "checkpoint": found.checkpoints, "metric": found.metrics}
    counts = ", ".join(counted(len(members), noun) for noun, members in sizes.items())
    click.echo(f"{file}: all right ({counts})")


@main.command()
@click.argument("name", required=False)
def metrics(name: str | None) -> None:
    """List the metrics there are, or say all about one."""
    import inspect
    import shutil

    from evalkit.announce.catalogue import catalogue
    from evalkit.measure import define, definitions, split_variant

    if name is not None:
        found = define(split_variant(name)[1].partition("|")[0])
        traits = found.traits
        family = f"; family: {traits.family}" if traits.side != "neither" else ""
        click.echo(f"{found.name}  (unit: {found.unit}; better: {found.better}; side: {traits.side}{family})")
        click.echo(
            f"Source: {found.cites or 'our own definition'}. Needs: {', '.join(sorted(found.needs)) or 'texts'}.\n"
        )
        click.echo(inspect.getdoc(found.function) or "")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo("\n".join(catalogue(definitions().values(), width)))


@main.command()
def doctor() -> None:
    """Say what this machine can do, what is missing, and the command that adds it."""
    from evalkit.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(f"{'ok     ' if finding.good else 'missing'}  {finding.subject}: {finding.text}")
        if finding.remedy:
            click.echo(f"         -> {finding.remedy}")


@main.group()
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


@main.group()
def prefs() -> None:
    """Pairs of completions, and who prefers which."""


@prefs.command("sample")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Write the pairs here, over what is there.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="vllm, transformers, openai, or auto: vllm where installed.",
)
@output_options
def prefs_sample(config: Path, out: Path, engine: str, tell: Listener, quiet: bool) -> None:
    """Draw pairs of completions from a checkpoint, as CONFIG asks."""
    from evalkit.training.config import PrefsSampleConfig, load_config
    from evalkit.training.preferences import check_place, sample_pairs, write_pairs

    asked = load_config(PrefsSampleConfig, config, tell.note)
    check_place(out)
    pairs = sample_pairs(asked, engine, tell)
    write_pairs(out, pairs)
    tell.close()
    click.echo(out if quiet else f"Pairs: {out} ({len(pairs)})")


@prefs.command("simulate")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Write the preferences here, over what is there.",
)
@output_options
def prefs_simulate(config: Path, out: Path, tell: Listener, quiet: bool) -> None:
    """Let simulated raters compare pairs, as CONFIG asks."""
    from evalkit.training.config import PrefsSimulateConfig, load_config
    from evalkit.training.preferences import (
        agreement,
        check_place,
        label_pairs,
        read_pairs,
        value_pairs,
        write_preferences,
    )

    asked = load_config(PrefsSimulateConfig, config, tell.note)
    check_place(out)
    pairs = read_pairs(asked.pairs, tell.note)
    values = value_pairs(asked.groups, pairs, tell)
    preferences = label_pairs(asked, pairs, values, tell)
    write_preferences(out, preferences)
    tell.close()
    if not quiet:
        _print_agreement(agreement(preferences, values))
    click.echo(out if quiet else f"Preferences: {out} ({len(preferences)})")


def _print_agreement(shares: dict[str, dict[str, float]]) -> None:
    import math

    from rich.console import Console
    from rich.table import Table

    click.echo("Share of each group's preferences that sides with its own values, and with those of the others:")
    table = Table("preferences of", box=None, header_style="bold")
    for judge in shares:
        table.add_column(judge, justify="right", overflow="fold")
    for group, by_judge in shares.items():
        table.add_row(group, *("-" if math.isnan(share) else f"{share:.1%}" for share in by_judge.values()))
    Console().print(table)


@main.group()
def train() -> None:
    """Make comparison models: reward models, supervised fine-tuning, PPO."""


def training_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """CONFIG, --out and the output options that every trainer has."""

    @click.argument("config", type=click.Path(path_type=Path))
    @click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="The training's folder; the same command on it resumes. Default: trained/NAME.",
    )
    @output_options
    @wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        _needs_the_train_extra()
        return command(*args, **kwargs)

    return with_options


@train.command("ppo")
@training_command
def train_ppo(config: Path, out: Path | None, tell: Listener, quiet: bool) -> None:
    """Tune the policy of CONFIG on its reward by PPO, a checkpoint for each beta."""
    from evalkit.training.config import PpoConfig, load_config
    from evalkit.training.ladder import train_ladder

    asked = load_config(PpoConfig, config, tell.note)
    folder = out or Path("trained") / asked.name
    _print_trained(train_ladder(asked, folder, tell, ["evalkit", *sys.argv[1:]]), folder, tell, quiet)


@train.command("reward")
@training_command
def train_reward(config: Path, out: Path | None, tell: Listener, quiet: bool) -> None:
    """Train a reward model on the preferences of CONFIG, and one for each rater group where it says so."""
    from evalkit.training.config import RewardConfig, load_config
    from evalkit.training.reward import train_reward as train

    asked = load_config(RewardConfig, config, tell.note)
    folder = out or Path("trained") / asked.name
    _print_trained(train(asked, folder, tell, ["evalkit", *sys.argv[1:]]), folder, tell, quiet)


@train.command("sft")
@training_command
def train_sft(config: Path, out: Path | None, tell: Listener, quiet: bool) -> None:
    """Fine-tune the model of CONFIG on prompts and completions."""
    from evalkit.training.config import SftConfig, load_config
    from evalkit.training.sft import train_sft as train

    asked = load_config(SftConfig, config, tell.note)
    folder = out or Path("trained") / asked.name
    _print_trained([train(asked, folder, tell, ["evalkit", *sys.argv[1:]])], folder, tell, quiet)


def _needs_the_train_extra() -> None:
    from importlib.util import find_spec

    from evalkit.errors import InputError

    if find_spec("accelerate") is None:
        raise InputError("training needs accelerate; install it with: pip install 'evalkit[train]'")


def _print_trained(made: Sequence[Path], folder: Path, tell: Listener, quiet: bool) -> None:
    tell.close()
    for checkpoint in made:
        click.echo(checkpoint if quiet else f"Checkpoint: {checkpoint}")
    if not quiet:
        click.echo(f"Curves: {folder / 'training.html'}")


main.add_command(gate)
main.add_command(baseline_group)
main.add_command(power)
main.add_command(report)
main.add_command(compare)


def _print_verdict(summary: Summary) -> None:
    from rich.console import Console
    from rich.text import Text

    from evalkit.report.alarm_lines import alarm_lines
    from evalkit.report.verdict import verdict

    console = Console(highlight=False)
    told = verdict(summary)
    console.print(Text(told.headline, style="bold"))
    for claim in told.besides:
        console.print(Text(claim))
    for line in alarm_lines(summary):
        console.print(Text(f"! {line.arms}: {line.message}", style="yellow"))
