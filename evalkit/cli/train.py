"""`evalkit train` and `evalkit prefs`: comparison models, and the pairs they learn from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evalkit.cli.errors import Group
from evalkit.cli.options import columns_of, engine_option, output_options
from evalkit.cli.tracking import Log, log_options

if TYPE_CHECKING:
    from evalkit.plumbing.progress import Listener
    from evalkit.preferences.layouts.names import Layout
    from evalkit.training.config import Training

Config = TypeVar("Config", bound="Training")


def _columns(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    return columns_of(given, "chosen=better,rejected=worse")


@click.group(cls=Group)
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
@engine_option
@output_options
def prefs_sample(config: Path, out: Path, engine: str, tell: Listener, quiet: bool) -> None:
    """Draw pairs of completions from a checkpoint, as CONFIG asks."""
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.pairs import write_pairs
    from evalkit.training.config import PrefsSampleConfig, load_config
    from evalkit.training.raters.sampling import sample_pairs

    settings = load_config(PrefsSampleConfig, config, tell.note)
    check_place(out)
    pairs = sample_pairs(settings, engine, tell)
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
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.files import write_preferences
    from evalkit.preferences.pairs import read_pairs
    from evalkit.training.config import PrefsSimulateConfig, load_config
    from evalkit.training.raters.simulate import agreement, label_pairs
    from evalkit.training.raters.values import value_pairs

    settings = load_config(PrefsSimulateConfig, config, tell.note)
    check_place(out)
    pairs = read_pairs(settings.pairs, tell.note)
    values = value_pairs(settings.groups, pairs, tell)
    preferences = label_pairs(settings, pairs, values, tell)
    write_preferences(out, preferences)
    tell.close()
    if not quiet:
        _print_agreement(agreement(preferences, values))
    click.echo(out if quiet else f"Preferences: {out} ({len(preferences)})")


@prefs.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jsonl",
    help="Write the preferences here, over what is there.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["own", "messages", "conversations", "hh", "arena", "sharegpt", "prism"]),
    help="The file's layout; default: seen from its first row.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="FIELD=COLUMN,...",
    callback=_columns,
    help="Which column holds a field, as in chosen=better,rejected=worse.",
)
@click.option(
    "--group-by",
    metavar="COLUMN",
    help="Of PRISM: the column of survey.jsonl, beside FILE, that is a rater's group, as in location.reside_country.",
)
@output_options
def prefs_import(
    file: Path,
    out: Path,
    layout: Layout | None,
    columns: dict[str, str],
    group_by: str | None,
    tell: Listener,
    quiet: bool,
) -> None:
    """Read preferences of FILE in any layout and write them in evalkit's own, saying what was understood."""
    from evalkit.plumbing.typed_jsonl import check_place
    from evalkit.preferences.files import write_preferences
    from evalkit.preferences.layouts.read import read_file

    account = read_file(file, tell.note, layout, columns, group_by)
    check_place(out)
    write_preferences(out, account.preferences)
    for sentence in account.losses():
        tell.note(sentence)
    tell.close()
    pairs = len(account.preferences)
    if not quiet:
        click.echo(
            f"Layout: {account.layout}; rows: {account.rows}; pairs: {pairs}; ties: {account.count('tie')}; "
            f"both bad: {account.count('both_bad')}; "
            f"prompts of several turns: {account.multi_turn} ({account.multi_turn / pairs:.0%})"
        )
    click.echo(out if quiet else f"Preferences: {out} ({pairs})")


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


@click.group(cls=Group)
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
    @log_options
    @wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        _needs_the_train_extra()
        return command(*args, **kwargs)

    return with_options


@train.command("ppo")
@training_command
def train_ppo(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """Tune the policy of CONFIG on its reward by PPO, a checkpoint for each beta."""
    from evalkit.training.config import PpoConfig, load_config
    from evalkit.training.ppo_ladder import train_ladder

    _train(train_ladder, load_config(PpoConfig, config, tell.note), out, log, tell, quiet)


@train.command("reward")
@training_command
def train_reward(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """Train a reward model on the preferences of CONFIG, and one for each rater group where it says so."""
    from evalkit.training.config import RewardConfig, load_config
    from evalkit.training.reward_model import train_reward as train_rewards

    _train(train_rewards, load_config(RewardConfig, config, tell.note), out, log, tell, quiet)


@train.command("sft")
@training_command
def train_sft(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """Fine-tune the model of CONFIG on prompts and completions."""
    from evalkit.training.config import SftConfig, load_config
    from evalkit.training.sft import train_sft as fine_tune

    _train(lambda *job: [fine_tune(*job)], load_config(SftConfig, config, tell.note), out, log, tell, quiet)


def _needs_the_train_extra() -> None:
    from importlib.util import find_spec

    from evalkit.errors import InputError

    if find_spec("accelerate") is None:
        raise InputError("training needs accelerate; install it with: pip install 'evalkit[train]'")


def _train(
    trainer: Callable[[Config, Path, Listener, Sequence[str]], Sequence[Path]],
    config: Config,
    out: Path | None,
    log: Log,
    tell: Listener,
    quiet: bool,
) -> None:
    from evalkit.training.output.tracking import is_first_process

    folder = out or Path("trained") / config.name
    checkpoints = trainer(config, folder, tell, ["evalkit", *sys.argv[1:]])
    tell.close()
    if is_first_process():
        log.send_run(folder)
    for checkpoint in checkpoints:
        click.echo(checkpoint if quiet else f"Checkpoint: {checkpoint}")
    if not quiet:
        click.echo(f"Curves: {folder / 'training.html'}")
