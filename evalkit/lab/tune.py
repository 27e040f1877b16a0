"""The tuned model: the base, fine-tuned on those of its own completions that the rater prefers."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.lab.corpus import Drawn, deal, dice
from evalkit.lab.grammar import Grammar
from evalkit.lab.rater import Rater
from evalkit.lab.recipe import Recipe
from evalkit.lab.sampling import draw
from evalkit.lab.train import Tick, fit


def preferred(grammar: Grammar, drawn: Drawn, rater: Rater, best_of: int, rng: random.Random) -> dict[str, list[str]]:
    """Return the rater's choice out of every `best_of` completions of a prompt."""
    chosen: dict[str, list[str]] = {}
    for prompt, texts in drawn.items():
        utilities = [rater.utility(grammar, prompt, text) for text in texts]
        starts = range(0, len(texts) - best_of + 1, best_of)
        chosen[prompt] = [texts[at + rater.pick(utilities[at : at + best_of], rng)] for at in starts]
    return chosen


def train_tuned(
    base: LlamaForCausalLM,
    grammar: Grammar,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    first: Drawn,
    tick_of: Callable[[int], Tick],
) -> LlamaForCausalLM:
    """Return the base after `rounds` of best-of-k: the first from the base's completions, later ones from its own."""
    model = copy.deepcopy(base)
    rng = dice("tune", recipe.seed)
    drawn = first
    for turn in range(recipe.rounds):
        if turn:
            drawn = draw(model, tokenizer, list(first), recipe.samples, seed=recipe.seed + 1000 + turn)
        chosen = preferred(grammar, drawn, recipe.rater, recipe.best_of, rng)
        batches = mixed(chosen, recipe.tune.batch, recipe.tune.steps, rng)
        fit(model, tokenizer, batches, recipe.tune, tick_of(turn))
    return model


def mixed(chosen: Drawn, texts: int, steps: int, rng: random.Random) -> Iterator[Drawn]:
    """Yield `steps` batches of four chosen completions of each of texts // 4 prompts."""
    for prompts in deal(list(chosen), texts // 4, steps, rng):
        yield {prompt: rng.sample(chosen[prompt], min(4, len(chosen[prompt]))) for prompt in prompts}
