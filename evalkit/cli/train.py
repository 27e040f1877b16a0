"""`evalkit train`: comparison models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evalkit.cli.errors import Group
from evalkit.cli.options import output_options
from evalkit.cli.tracking import Log, log_options

if TYPE_CHECKING:
    from evalkit.plumbing.progress import Listener
    from evalkit.training.config import Training

Config = TypeVar("Config", bound="Training")


@click.group(cls=Group)
def train() -> None:
    """Make comparison models: reward models, supervised fine-tuning, PPO, RLOO, GRPO, DPO, best-of-n."""


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
    from evalkit.training.ladder import train_ladder

    _train(train_ladder, load_config(PpoConfig, config, tell.note), out, log, tell, quiet)


@train.command("rloo")
@training_command
def train_rloo(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """The same by REINFORCE leave-one-out: no value network, several completions of each prompt."""
    from evalkit.training.config import RlooConfig, load_config
    from evalkit.training.ladder import train_ladder

    _train(train_ladder, load_config(RlooConfig, config, tell.note), out, log, tell, quiet)


@train.command("grpo")
@training_command
def train_grpo(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """The same by GRPO: rewards are compared within the completions of a prompt."""
    from evalkit.training.config import GrpoConfig, load_config
    from evalkit.training.ladder import train_ladder

    _train(train_ladder, load_config(GrpoConfig, config, tell.note), out, log, tell, quiet)


@train.command("dpo")
@training_command
def train_dpo(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """Tune the policy of CONFIG on its preferences directly, a checkpoint for each beta."""
    from evalkit.training.config import DpoConfig, load_config
    from evalkit.training.dpo import train_dpo as tune

    _train(tune, load_config(DpoConfig, config, tell.note), out, log, tell, quiet)


@train.command("best-of-n")
@training_command
def train_best_of_n(config: Path, out: Path | None, log: Log, tell: Listener, quiet: bool) -> None:
    """Fine-tune the policy of CONFIG on the best of every n of its own completions, a checkpoint for each n."""
    from evalkit.training.best_of_n import distil
    from evalkit.training.config import BestOfNConfig, load_config

    _train(distil, load_config(BestOfNConfig, config, tell.note), out, log, tell, quiet)


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
    if not is_first_process():
        return
    log.send_run(folder)
    for checkpoint in checkpoints:
        click.echo(checkpoint if quiet else f"Checkpoint: {checkpoint}")
    if not quiet:
        click.echo(f"Curves: {folder / 'training.html'}")
