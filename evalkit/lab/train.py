"""The base model: a small Llama that learns the grammar's completions by plain cross entropy.

The loss is on the completion and its end-of-sequence token given the prompt; the prompt itself is not modelled.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.lab.corpus import Batch, Pair, encode, stream
from evalkit.lab.grammar import Grammar, Prompt

Tick = Callable[[str, int, int, float], None]
"""Told after every optimiser step: stage, steps done, steps in all, loss in nats."""


@dataclass(frozen=True)
class Schedule:
    """One stage of training: optimiser steps, texts a step, and the peak of a linear warm-up and decay to zero."""

    steps: int
    batch: int
    peak: float
    warmup: int = 20

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup)
        return self.peak * rise * (1 - step / self.steps)


def fresh(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return an untrained model of about 0.9 M parameters; head_dim 32 is the least that vLLM serves on a CPU."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # the fused kernel's backward pass costs twice the whole step on a CPU
    return model


def optimise(
    model: torch.nn.Module,
    losses: Iterable[Callable[[], Tensor]],
    schedule: Schedule,
    tick: Callable[[int, float], None],
) -> None:
    """Take one AdamW step a loss. Adam's second moment forgets fast (0.95), for runs of a few hundred steps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=schedule.peak, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    for step, loss_of in enumerate(losses):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        tick(step + 1, loss.item())
    model.eval()


def answer_log_probs(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Return the log-probs of the answer tokens, [answer tokens] in row order, in float32.

    Only answer positions go through the output layer, which is a third of the whole work. No attention
    mask: documents are padded on the right, where causal attention never looks.
    """
    hidden = model.model(input_ids=batch.ids).last_hidden_state
    wanted = batch.answer[:, 1:]
    logits = model.lm_head(hidden[:, :-1][wanted]).float()
    targets = batch.ids[:, 1:][wanted]
    return -torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def fit(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    batches: Iterable[list[Pair]],
    schedule: Schedule,
    tick: Callable[[int, float], None],
) -> None:
    """Train on (prompt, completion) batches by cross entropy per text, the unit in which entropy is stated."""

    def loss_of(pairs: list[Pair]) -> Callable[[], Tensor]:
        by_length = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
        half = len(pairs) // 2  # short and long texts apart: a quarter less padding
        halves = [encode(tokenizer, by_length[:half]), encode(tokenizer, by_length[half:])]
        return lambda: -torch.cat([answer_log_probs(model, batch) for batch in halves]).sum() / len(pairs)

    optimise(model, map(loss_of, batches), schedule, tick)


def train_base(
    grammar: Grammar,
    tokenizer: PreTrainedTokenizerFast,
    schedule: Schedule,
    seed: int,
    tick: Callable[[int, float], None],
) -> LlamaForCausalLM:
    """Return a model trained on fresh samples of every prompt."""
    model = fresh(tokenizer, seed)
    batches = stream(grammar.prompts, schedule.batch, schedule.steps, random.Random(f"base {seed}"))
    fit(model, tokenizer, batches, schedule, tick)
    return model


@torch.no_grad()
def log_probs(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair], chunk: int = 512
) -> list[float]:
    """Return the log-prob of every completion with its end of sequence, in nats."""
    found: list[float] = []
    for start in range(0, len(pairs), chunk):
        batch = encode(tokenizer, pairs[start : start + chunk])
        rows = batch.answer[:, 1:].nonzero()[:, 0]
        totals = torch.zeros(len(batch.ids)).index_add(0, rows, answer_log_probs(model, batch))
        found.extend(totals.tolist())
    return found


@dataclass(frozen=True)
class Fit:
    """How near a model is to the grammar: exact entropy, and the excess of its cross entropy, in nats a completion."""

    entropy: float
    excess: float
    standard_error: float

    @property
    def relative(self) -> float:
        """Return the excess as a share of the entropy."""
        return self.excess / self.entropy


def measure_fit(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Prompt],
    samples: int,
    seed: int,
) -> Fit:
    """Compare cross entropy with entropy over `samples` grammar texts a prompt.

    Cross entropy is H + E[log p - log q]. H is exact, so only the difference is sampled: the true log-probs
    serve as control variate, and the standard error falls from that of surprisals to that of the misfit.
    """
    rng = random.Random(f"fit {seed}")
    pairs = [(prompt.text, prompt.sample(rng)) for prompt in prompts for _ in range(samples)]
    true = [parsed[1] for prompt, (_, text) in zip(repeated(prompts, samples), pairs, strict=True)
            if (parsed := prompt.parse(text)) is not None]
    model_log_probs = log_probs(model, tokenizer, pairs)
    gaps = [p - q for p, q in zip(true, model_log_probs, strict=True)]
    per_prompt = [statistics.variance(gaps[i : i + samples]) / samples for i in range(0, len(gaps), samples)]
    return Fit(
        entropy=statistics.fmean(prompt.entropy for prompt in prompts),
        excess=statistics.fmean(gaps),
        standard_error=math.sqrt(math.fsum(per_prompt)) / len(prompts),
    )


def repeated(prompts: Sequence[Prompt], times: int) -> list[Prompt]:
    """Return every prompt `times` times in a row."""
    return [prompt for prompt in prompts for _ in range(times)]
