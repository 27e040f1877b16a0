"""The reward model: a Llama with one label, trained on the rater's pairwise preferences by the Bradley-Terry loss."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from evalkit.lab.corpus import Drawn, Pair, dice, documents, shuffled_batches
from evalkit.lab.grammar import Grammar
from evalkit.lab.rater import Rater
from evalkit.lab.recipe import Schedule
from evalkit.lab.train import Tick, optimise
from evalkit.training.bradley_terry import draw_head, pair_rewards, preference_loss
from evalkit.training.calibration import accuracy, confidences


@dataclass(frozen=True)
class RatedPreference:
    """One comparison of two completions; `gap` is the true utility of the chosen one less that of the rejected one."""

    prompt: str
    chosen: str
    rejected: str
    gap: float


def compare(grammar: Grammar, drawn: Drawn, rater: Rater, rng: random.Random) -> list[RatedPreference]:
    """Let the rater compare the completions of every prompt two by two; identical pairs are left out."""
    made = []
    for prompt, texts in drawn.items():
        for a, b in zip(texts[::2], texts[1::2], strict=False):
            if a != b:
                utilities = [rater.utility(grammar, prompt, text) for text in (a, b)]
                won = rater.pick(utilities, rng)
                made.append(RatedPreference(prompt, (a, b)[won], (b, a)[won], utilities[won] - utilities[1 - won]))
    return made


def fresh_reward(base: LlamaForCausalLM, seed: int) -> LlamaForSequenceClassification:
    """Return the base with its output layer replaced by a score, drawn from N(0, 1 / (d + 1))."""
    config = LlamaConfig(**{**base.config.to_dict(), "id2label": {0: "reward"}, "label2id": {"reward": 0}})
    model = LlamaForSequenceClassification(config)
    model.set_attn_implementation("eager")
    model.model.load_state_dict(base.model.state_dict())
    # A generator of its own: reward models are trained side by side, and torch's is shared by all threads.
    chance = torch.Generator().manual_seed(seed)
    draw_head(model.score, chance)
    return model


def scores(model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> Tensor:
    """Return the reward of every completion, [pairs], read at its end-of-sequence token."""
    ids, mask = documents(tokenizer, pairs)
    logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits[:, 0].float()


def margins(
    model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, preferences: Sequence[RatedPreference]
) -> Tensor:
    """Return reward(chosen) - reward(rejected), [preferences]."""
    chosen, rejected = pair_rewards(
        lambda pairs: scores(model, tokenizer, pairs),
        [(p.prompt, p.chosen) for p in preferences],
        [(p.prompt, p.rejected) for p in preferences],
    )
    return chosen - rejected


def train_reward(
    base: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    preferences: Sequence[RatedPreference],
    schedule: Schedule,
    seed: int,
    tick: Tick,
) -> LlamaForSequenceClassification:
    """Return a reward model trained on shuffled preferences by the Bradley-Terry loss."""
    model = fresh_reward(base, seed)

    def loss_of(batch: Sequence[RatedPreference]) -> Callable[[], Tensor]:
        return lambda: preference_loss(margins(model, tokenizer, batch)).mean()

    batches = shuffled_batches(preferences, schedule.batch, schedule.steps, dice("reward", seed))
    optimise(model, map(loss_of, batches), schedule, tick)
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
    model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, preferences: Sequence[RatedPreference]
) -> Agreement:
    """Score held-out comparisons."""
    parts = [preferences[start : start + 256] for start in range(0, len(preferences), 256)]
    with torch.no_grad():
        learned = torch.cat([margins(model, tokenizer, part) for part in parts]).double().numpy()
    gaps = np.array([preference.gap for preference in preferences])
    return Agreement(
        pairs=len(preferences),
        accuracy=accuracy(learned).accuracy,
        ceiling=float(confidences(gaps).mean()),
        with_utility=float((learned * gaps > 0).mean()),
    )
