"""Build the lab's checkpoints from nothing: grammar, tokenizer, base, preferences, tuned, reward."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.lab import reward as rewards
from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.corpus import Drawn, dice
from evalkit.lab.folder import Figures, save
from evalkit.lab.grammar import Grammar
from evalkit.lab.probe import KINDS, portray
from evalkit.lab.recipe import Recipe
from evalkit.lab.sampling import draw
from evalkit.lab.train import Tick, measure_fit, train_base
from evalkit.lab.tune import train_tuned
from evalkit.lab.world import load


def build(out: Path, *, quick: bool = False, console: Console | None = None) -> dict[str, Path]:
    """Make `base`, `tuned` and `reward` under `out` and return their folders.

    Each folder is written beside its place and renamed, so that an interrupted build leaves whole checkpoints.
    `quick` cuts every stage to seconds, to test that the recipe runs.
    """
    recipe = Recipe().quick() if quick else Recipe()
    grammar = load()
    plain, chat = tokenizers.build(grammar, chat=False), tokenizers.build(grammar, chat=True)
    out.mkdir(parents=True, exist_ok=True)
    with _progress(console or Console(stderr=True)) as bars:
        base = stored(train_base(grammar, plain, recipe.base, recipe.seed, _tick(bars, "base", recipe.base.steps)))
        folders = {"base": save(out, "base", base, plain, recipe, grammar, base_figures(base, grammar, plain, recipe))}
        drawn, held_out = draw_for_raters(base, grammar, plain, recipe)
        folders["tuned"] = build_tuned(out, base, grammar, chat, recipe, drawn, bars)
        folders["reward"] = build_reward(out, base, grammar, chat, recipe, (drawn, held_out), bars)
    return folders


def stored(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Round the weights to bfloat16, as they are stored: what is measured and built upon is what ships."""
    return model.to(torch.bfloat16).to(torch.float32)


def base_figures(
    base: LlamaForCausalLM, grammar: Grammar, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Figures:
    """Measure the base against the grammar's exact entropy, and what it says."""
    groups = {"all": grammar.prompts, **{kind: grammar.of_kind(kind) for kind in KINDS}}
    fits = {
        name: measure_fit(base, tokenizer, prompts, recipe.fit_samples, recipe.seed) for name, prompts in groups.items()
    }
    said = portray(base, grammar, tokenizer, recipe.rater, recipe.probe_samples, recipe.seed + 2000)
    return {
        "fit": {name: {**asdict(fit), "relative": fit.relative} for name, fit in fits.items()},
        "says": {kind: asdict(portrait) for kind, portrait in said.items()},
    }


def draw_for_raters(
    base: LlamaForCausalLM, grammar: Grammar, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> tuple[Drawn, Drawn]:
    """Return the base's completions for preferences, and further ones, of held-back prompts too, to test on."""
    asked = [prompt.text for prompt in grammar.prompts if not prompt.held_back]
    everything = [prompt.text for prompt in grammar.prompts]
    return (
        draw(base, tokenizer, asked, recipe.samples, recipe.seed + 1000),
        draw(base, tokenizer, everything, recipe.held_out, recipe.seed + 3000),
    )


def build_tuned(
    out: Path,
    base: LlamaForCausalLM,
    grammar: Grammar,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    drawn: Drawn,
    bars: Progress,
) -> Path:
    """Train, measure and save the tuned model."""

    def tick_of(turn: int) -> Tick:
        return _tick(bars, f"tuned, round {turn + 1}", recipe.tune.steps)

    tuned = stored(train_tuned(base, grammar, tokenizer, recipe, drawn, tick_of))
    said = portray(tuned, grammar, tokenizer, recipe.rater, recipe.probe_samples, recipe.seed + 2000)
    figures: Figures = {"says": {kind: asdict(portrait) for kind, portrait in said.items()}}
    return save(out, "tuned", tuned, tokenizer, recipe, grammar, figures)


def build_reward(
    out: Path,
    base: LlamaForCausalLM,
    grammar: Grammar,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    drawn: tuple[Drawn, Drawn],
    bars: Progress,
) -> Path:
    """Train, measure and save the reward model."""
    rng = dice("preferences", recipe.seed)
    train, test = (rewards.compare(grammar, texts, recipe.rater, rng) for texts in drawn)
    tick = _tick(bars, "reward", recipe.reward.steps)
    model = rewards.train_reward(base, tokenizer, train, recipe.reward, recipe.seed, tick)
    model.to(torch.bfloat16).to(torch.float32)
    unseen = [p for p in test if grammar.by_text[p.prompt].held_back]
    figures: Figures = {
        "preferences": len(train),
        "held_out": asdict(rewards.measure_agreement(model, tokenizer, test)),
        "held_back_prompts": asdict(rewards.measure_agreement(model, tokenizer, unseen)),
    }
    return save(out, "reward", model, tokenizer, recipe, grammar, figures)


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
