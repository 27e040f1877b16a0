"""The reward model: a Llama with one label, trained on the rater's pairwise preferences by the Bradley-Terry loss."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from evalkit.lab.corpus import Drawn, Pair, deal, dice, documents
from evalkit.lab.grammar import Grammar
from evalkit.lab.rater import Rater
from evalkit.lab.recipe import Schedule
from evalkit.lab.train import Tick, optimise


@dataclass(frozen=True)
class Preference:
    """One comparison; `gap` is the true utility of the chosen one less that of the rejected one."""

    prompt: str
    chosen: str
    rejected: str
    gap: float


def compare(grammar: Grammar, drawn: Drawn, rater: Rater, rng: random.Random) -> list[Preference]:
    """Let the rater compare the completions of every prompt two by two; identical pairs are left out."""
    made = []
    for prompt, texts in drawn.items():
        for a, b in zip(texts[::2], texts[1::2], strict=False):
            if a != b:
                utilities = [rater.utility(grammar, prompt, text) for text in (a, b)]
                won = rater.pick(utilities, rng)
                made.append(Preference(prompt, (a, b)[won], (b, a)[won], utilities[won] - utilities[1 - won]))
    return made


def fresh_reward(base: LlamaForCausalLM, seed: int) -> LlamaForSequenceClassification:
    """Return the base with its output layer replaced by a score, drawn from N(0, 1 / (d + 1))."""
    config = LlamaConfig(**{**base.config.to_dict(), "id2label": {0: "reward"}, "label2id": {"reward": 0}})
    model = LlamaForSequenceClassification(config)
    model.set_attn_implementation("eager")
    model.model.load_state_dict(base.model.state_dict())
    # A generator of its own: reward models are trained side by side, and torch's is shared by all threads.
    chance = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(model.score.weight, std=1 / math.sqrt(config.hidden_size + 1), generator=chance)
    return model


def scores(model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> Tensor:
    """Return the reward of every completion, [pairs], read at its end-of-sequence token."""
    ids, mask = documents(tokenizer, pairs)
    logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits[:, 0].float()


def margins(
    model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, preferences: Sequence[Preference]
) -> Tensor:
    """Return reward(chosen) - reward(rejected), [preferences]."""
    both = [(p.prompt, p.chosen) for p in preferences] + [(p.prompt, p.rejected) for p in preferences]
    found = scores(model, tokenizer, both)
    return found[: len(preferences)] - found[len(preferences) :]


def train_reward(
    base: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    preferences: Sequence[Preference],
    schedule: Schedule,
    seed: int,
    tick: Tick,
) -> LlamaForSequenceClassification:
    """Return a reward model trained on shuffled preferences: -log sigmoid(r_chosen - r_rejected)."""
    model = fresh_reward(base, seed)

    def loss_of(few: Sequence[Preference]) -> Callable[[], Tensor]:
        return lambda: -torch.nn.functional.logsigmoid(margins(model, tokenizer, few)).mean()

    hands = deal(preferences, schedule.batch, schedule.steps, dice("reward", seed))
    optimise(model, map(loss_of, hands), schedule, tick)
    return model


@dataclass(frozen=True)
class Agreement:
    """Held-out pairs: how often the reward model sides with the noisy rater, and with the rater's true utility.

    `ceiling` is what the true utility itself would reach against the noisy rater.
    """

    pairs: int
    accuracy: float
    ceiling: float
    with_utility: float


def measure_agreement(
    model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, preferences: Sequence[Preference]
) -> Agreement:
    """Score held-out comparisons."""
    found: list[float] = []
    for start in range(0, len(preferences), 256):
        with torch.no_grad():
            found.extend(margins(model, tokenizer, preferences[start : start + 256]).tolist())
    n = len(preferences)
    return Agreement(
        pairs=n,
        accuracy=sum(margin > 0 for margin in found) / n,
        ceiling=sum(1 / (1 + math.exp(-abs(p.gap))) for p in preferences) / n,
        with_utility=sum(margin * p.gap > 0 for margin, p in zip(found, preferences, strict=True)) / n,
    )
