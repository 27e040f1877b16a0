"""Build the lab's checkpoints from nothing: grammar, tokenizer, base, preferences, reward models, a PPO ladder."""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.checkpoints import training_log
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.lab import reward as rewards
from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.corpus import Drawn, dice
from evalkit.lab.folder import Figures, save
from evalkit.lab.grammar import Grammar
from evalkit.lab.probe import KINDS, portray
from evalkit.lab.recipe import LadderCheckpoint, Recipe
from evalkit.lab.sampling import LONGEST, draw
from evalkit.lab.train import Tick, measure_fit, train_base
from evalkit.lab.world import load
from evalkit.plumbing.child_process import open_child
from evalkit.records import Prompt as AskedPrompt
from evalkit.training.config import Generation, PpoConfig, Probe, RewardSource


def build(out: Path, *, quick: bool = False, console: Console | None = None) -> dict[str, Path]:
    """Make the base, a reward model for each rater group and the ladder under `out`; return their folders.

    Each folder is written beside its place and renamed, so that an interrupted build leaves whole checkpoints.
    `quick` cuts every stage to seconds, to test that the recipe runs.
    """
    recipe = Recipe().quick() if quick else Recipe()
    grammar = load()
    plain = tokenizers.build(grammar, chat=False)
    out.mkdir(parents=True, exist_ok=True)
    # One thread a model: ones this small gain little from a second, and the result is the same on a machine of any
    # size. What does not wait for each other is made side by side instead, with one more in hand than there are cores,
    # so that none is idle at the end.
    torch.set_num_threads(1)
    workers = (os.cpu_count() or 1) + 1
    with _progress(console or Console(stderr=True)) as bars:
        base = stored(train_base(grammar, plain, recipe.base, recipe.seed, _tick(bars, "base", recipe.base.steps)))
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers) as pool:
            # A copy of it: while it is saved its weights are in bfloat16.
            measured = pool.submit(save_base, out, copy.deepcopy(base), grammar, recipe)
            drawn = draw_for_raters(base, grammar, plain, recipe)
            judges = {
                group: pool.submit(build_reward, out, group, base, grammar, recipe, drawn, bars)
                for group in recipe.raters
            }
            folders, tuned = {"base": measured.result()}, {}
            for group, judge in judges.items():
                folder = judge.result()
                folders[folder.name] = folder
                for checkpoint in (checkpoint for checkpoint in recipe.ladder if checkpoint.group == group):
                    tuned[checkpoint.name] = pool.submit(
                        build_ladder_checkpoint, checkpoint, dict(folders), grammar, recipe, Path(scratch), bars
                    )
            folders |= {name: done.result() for name, done in tuned.items()}
    return folders


def stored(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Round the weights to bfloat16, as they are stored: what is measured and built upon is what ships."""
    return model.to(torch.bfloat16).to(torch.float32)


def save_base(out: Path, base: LlamaForCausalLM, grammar: Grammar, recipe: Recipe) -> Path:
    """Measure and save the base."""
    # A tokenizer of its own: one that pads must not be used by two threads.
    tokenizer = tokenizers.build(grammar, chat=False)
    return save(out, "base", base, tokenizer, recipe, grammar, base_figures(base, grammar, tokenizer, recipe))


def base_figures(
    base: LlamaForCausalLM, grammar: Grammar, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Figures:
    """Measure the base against the grammar's exact entropy, and what it says."""
    groups = {"all": grammar.prompts, **{kind: grammar.of_kind(kind) for kind in KINDS}}
    fits = {
        name: measure_fit(base, tokenizer, prompts, recipe.fit_samples, recipe.seed) for name, prompts in groups.items()
    }
    said = portray(base, grammar, tokenizer, recipe.raters["scholars"], recipe.probe_samples, recipe.seed + 2000)
    return {
        "fit": {name: {**asdict(fit), "relative": fit.relative} for name, fit in fits.items()},
        "says": {kind: asdict(portrait) for kind, portrait in said.items()},
    }


def draw_for_raters(
    base: LlamaForCausalLM, grammar: Grammar, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> tuple[Drawn, Drawn]:
    """Return the base's completions for preferences, and further ones, of held-back prompts too, to test on."""
    prompts = [prompt.text for prompt in grammar.prompts if not prompt.held_back]
    everything = [prompt.text for prompt in grammar.prompts]
    return (
        draw(base, tokenizer, prompts, recipe.samples, recipe.seed + 1000),
        draw(base, tokenizer, everything, recipe.held_out, recipe.seed + 3000),
    )


def build_reward(
    out: Path,
    group: str,
    base: LlamaForCausalLM,
    grammar: Grammar,
    recipe: Recipe,
    drawn: tuple[Drawn, Drawn],
    bars: Progress,
) -> Path:
    """Train, measure and save the reward model of one rater group."""
    tokenizer = tokenizers.build(grammar, chat=True)
    rng = dice(f"preferences {group}", recipe.seed)
    train, test = (rewards.compare(grammar, texts, recipe.raters[group], rng) for texts in drawn)
    name = reward_of(group)
    model = rewards.train_reward(
        base, tokenizer, train, recipe.reward, recipe.seed, _tick(bars, name, recipe.reward.steps)
    )
    model.to(torch.bfloat16).to(torch.float32)
    unseen = [p for p in test if grammar.by_text[p.prompt].held_back]
    figures: Figures = {
        "group": group,
        "preferences": len(train),
        "held_out": asdict(rewards.measure_agreement(model, tokenizer, test)),
        "held_back_prompts": asdict(rewards.measure_agreement(model, tokenizer, unseen)),
    }
    return save(out, name, model, tokenizer, recipe, grammar, figures)


def build_ladder_checkpoint(
    checkpoint: LadderCheckpoint,
    folders: Mapping[str, Path],
    grammar: Grammar,
    recipe: Recipe,
    scratch: Path,
    bars: Progress,
) -> Path:
    """Tune, measure and save one of the ladder, in a process of its own: small models thread badly, and none waits."""
    task = bars.add_task(checkpoint.name, total=recipe.tuning.updates, loss="")
    config = tuning_of(checkpoint, folders, grammar, recipe)
    with open_child("evalkit.lab.ladder_trainer:LadderTrainer", title=f"tuning of lab:{checkpoint.name}") as trainer:
        made, reached = trainer.call(
            "train", config, scratch / checkpoint.name, progress=lambda done: bars.update(task, completed=done)
        )
        said = trainer.call("portray", made, checkpoint.group, recipe)
    model = LlamaForCausalLM.from_pretrained(made, dtype=torch.float32)
    figures: Figures = {"group": checkpoint.group, "beta": checkpoint.beta, "reached": reached, "says": said}
    tokenizer = tokenizers.build(grammar, chat=True)
    log = Path(made) / training_log.NAME
    return save(folders["base"].parent, checkpoint.name, model, tokenizer, recipe, grammar, figures, log)


def tuning_of(checkpoint: LadderCheckpoint, folders: Mapping[str, Path], grammar: Grammar, recipe: Recipe) -> PpoConfig:
    """What `evalkit train ppo` would be asked for this checkpoint."""
    return PpoConfig(
        name=checkpoint.name,
        seed=recipe.seed,
        policy=CheckpointSpec(path=str(folders["base"]), kind="base"),
        reward=RewardSource(model=str(folders[reward_of(checkpoint.group)])),
        gold=RewardSource(utility={f"lab:{checkpoint.group}": 1.0}),
        beta=(checkpoint.beta,),
        sampling=Generation(max_tokens=LONGEST),
        updates=recipe.tuning.updates,
        batch=recipe.tuning.batch,
        epochs=recipe.tuning.epochs,
        learning_rate=recipe.tuning.learning_rate,
        # Completions are of 3 to 32 tokens: few at a time, of about equal length, leave a fifth of the work out.
        microbatch=16,
        probe=Probe(every=recipe.tuning.updates),
        prompts=tuple(AskedPrompt(prompt.id, prompt.text) for prompt in grammar.prompts if not prompt.held_back),
    )


def reward_of(group: str) -> str:
    """The name of a rater group's reward model."""
    return "reward" if group == "scholars" else f"reward-{group}"


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    stage, loss = TextColumn("{task.description:<16}"), TextColumn("{task.fields[loss]}")
    columns = (stage, BarColumn(), MofNCompleteColumn(), loss)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        started = time.perf_counter()
        yield bars
        bars.console.print(f"built in {time.perf_counter() - started:.0f} s")


def _tick(bars: Progress, stage: str, steps: int) -> Tick:
    task = bars.add_task(stage, total=steps, loss="")
    return lambda done, loss: bars.update(task, completed=done, loss=f"loss {loss:.3f}")
