"""The base model: a small Llama that learns the grammar's completions by cross entropy.

The loss is on the completion and its end-of-sequence token given the prompt; the prompt itself is not modelled. It is
the cross entropy to the exact distribution of each next token, not to the one token drawn: the same gradient on
average without the draw's noise, so that fewer texts bring the model far nearer to the grammar (51 000 texts leave
0.5 % above its entropy; 96 000 plain draws left 3.4 %).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, LlamaPreTrainedModel, PreTrainedTokenizerFast

from evalkit.lab.corpus import Batch, Drawn, dice, encode, halves, stream
from evalkit.lab.distribution import Distribution, NextToken, next_token
from evalkit.lab.grammar import Grammar, Prompt
from evalkit.lab.recipe import Schedule

Tick = Callable[[int, float], None]
"""Told after every optimiser step: steps done, loss."""


def fresh(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return an untrained model of about 0.9 M parameters; head_dim 32 is the least that vLLM serves on a CPU."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=0.5)  # the default 0.02 costs a hundred steps
    model.set_attn_implementation("eager")  # the fused kernel's backward pass costs twice the whole step on a CPU
    return model


def optimise(
    model: LlamaPreTrainedModel,
    losses: Iterable[Callable[[], Tensor]],
    schedule: Schedule,
    tick: Tick,
) -> None:
    """Take one step a loss: Muon for the layers' matrices, Adam for the rest.

    Muon needs less than half of Adam's steps here. Adam's second moment forgets fast (0.95), as suits short runs.
    """
    layers = [p for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2]
    rest = [p for name, p in model.named_parameters() if ".layers." not in name or p.ndim != 2]
    muon = torch.optim.Muon(layers, lr=schedule.matrix_peak, momentum=0.95, weight_decay=0.0)
    adam = torch.optim.AdamW(rest, lr=schedule.peak, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    for step, loss_of in enumerate(losses):
        muon.param_groups[0]["lr"] = schedule.matrix_peak * schedule.rate(step)
        adam.param_groups[0]["lr"] = schedule.peak * schedule.rate(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of()
        model.zero_grad(set_to_none=True)
        loss.backward()
        muon.step()
        adam.step()
        tick(step + 1, loss.item())
    model.eval()


def answer_logits(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Return the logits of the wanted answer tokens, [wanted tokens, vocabulary] in row order, in float32."""
    cache = read_heads(model, batch.heads, batch.heads_mask)
    each = len(batch.answers) // len(batch.heads)
    cache.batch_repeat_interleave(each)
    before = batch.heads_mask.repeat_interleave(each, dim=0)
    hidden = model.model(
        input_ids=batch.answers[:, :-1],
        attention_mask=torch.cat([before, torch.ones_like(batch.answers[:, :-1])], dim=1),
        position_ids=before.sum(dim=1, keepdim=True) + torch.arange(batch.answers.shape[1] - 1),
        past_key_values=cache,
    ).last_hidden_state
    return model.lm_head(hidden[batch.wanted[:, 1:]]).float()


def answer_log_probs(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Return the log-probs of the wanted answer tokens, [wanted tokens] in row order, in float32."""
    targets = batch.answers[:, 1:][batch.wanted[:, 1:]]
    return -torch.nn.functional.cross_entropy(answer_logits(model, batch), targets, reduction="none")


def read_heads(model: LlamaForCausalLM, heads: Tensor, mask: Tensor) -> DynamicCache:
    """Return the keys and values of left-padded frames, to be shared by all completions of a prompt."""
    cache = DynamicCache(config=model.config)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    model.model(input_ids=heads, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
    return cache


def fit(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    batches: Iterable[Drawn],
    schedule: Schedule,
    tick: Tick,
) -> None:
    """Train on batches of completions by cross entropy per text, the unit in which entropy is stated."""

    def loss_of(drawn: Drawn) -> Callable[[], Tensor]:
        texts = sum(map(len, drawn.values()))
        parts = [encode(tokenizer, half) for half in halves(drawn)]
        return lambda: -torch.cat([answer_log_probs(model, part) for part in parts]).sum() / texts

    optimise(model, map(loss_of, batches), schedule, tick)


def train_base(
    grammar: Grammar, tokenizer: PreTrainedTokenizerFast, schedule: Schedule, seed: int, tick: Tick
) -> LlamaForCausalLM:
    """Return a model trained on fresh samples of every prompt.

    Each token's target is its exact distribution given the text before it, not the one token that was drawn: the same
    cross entropy in expectation, without the noise of the draw. The loss that is shown is less the entropy, so that it
    falls to 0.
    """
    model = fresh(tokenizer, seed)
    automata = {prompt.text: next_token(prompt, tokenizer) for prompt in grammar.prompts}

    def loss_of(drawn: Drawn) -> Callable[[], Tensor]:
        texts = sum(map(len, drawn.values()))
        parts = [
            (encode(tokenizer, half), *next_token_distributions(automata, tokenizer, half)) for half in halves(drawn)
        ]
        return lambda: torch.stack([misfit(answer_logits(model, b), *targets) for b, *targets in parts]).sum() / texts

    batches = stream(grammar.prompts, schedule.batch, 4, schedule.steps, dice("base", seed))
    optimise(model, map(loss_of, batches), schedule, tick)
    return model


def next_token_distributions(
    automata: Mapping[str, NextToken], tokenizer: PreTrainedTokenizerFast, drawn: Drawn
) -> tuple[Tensor, Tensor]:
    """Return possible next tokens and their probabilities before each answer token, [answer tokens, most options]."""
    distributions: list[Distribution] = []
    for prompt, texts in drawn.items():
        for tokens in tokenizer([f" {text}" for text in texts], add_special_tokens=False).input_ids:
            distributions.extend(automata[prompt].distributions([*tokens, tokenizer.eos_token_id]))
    width = max(map(len, distributions))
    ids = [[*options, *[0] * (width - len(options))] for options in distributions]
    return torch.tensor(ids), torch.tensor(
        [[*options.values(), *[0.0] * (width - len(options))] for options in distributions]
    )


def misfit(logits: Tensor, ids: Tensor, probabilities: Tensor) -> Tensor:
    """Return the sum over tokens of KL(grammar || model) in nats: cross entropy less the grammar's entropy."""
    log_probs = logits.log_softmax(dim=-1).gather(1, ids)
    return (torch.special.xlogy(probabilities, probabilities) - probabilities * log_probs).sum()


def log_probs(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, drawn: Drawn, prompts_at_once: int = 16
) -> dict[str, list[float]]:
    """Return the log-prob of every completion with its end of sequence, in nats."""
    by_prompt: dict[str, list[float]] = {}
    prompts = list(drawn)
    for start in range(0, len(prompts), prompts_at_once):
        part = {prompt: drawn[prompt] for prompt in prompts[start : start + prompts_at_once]}
        batch = encode(tokenizer, part)
        rows = batch.wanted.nonzero()[:, 0]
        with torch.no_grad():
            totals = torch.zeros(len(batch.answers)).index_add(0, rows, answer_log_probs(model, batch))
        each = len(batch.answers) // len(part)
        by_prompt.update(zip(part, totals.view(-1, each).tolist(), strict=True))
    return by_prompt


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
    rng = dice("fit", seed)
    drawn = {prompt.text: [prompt.sample(rng) for _ in range(samples)] for prompt in prompts}
    fitted = log_probs(model, tokenizer, drawn)
    gaps = [
        [parsed[1] - q for text, q in zip(drawn[prompt.text], fitted[prompt.text], strict=True)
         if (parsed := prompt.parse(text)) is not None]
        for prompt in prompts
    ]  # fmt: skip
    return Fit(
        entropy=statistics.fmean(prompt.entropy for prompt in prompts),
        excess=statistics.fmean(map(statistics.fmean, gaps)),
        standard_error=math.sqrt(math.fsum(map(statistics.variance, gaps)) / samples) / len(prompts),
    )
