"""A language small enough to enumerate: four letters and an end, at most three tokens, 85 sequences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.training.batch import pack
from evalkit.training.models import Policy, response_logits

LETTERS = 4
EOS = 4
LONGEST = 3
SPREAD = 0.1
"""Of the random weights: enough for an uneven distribution without sequences too rare to be met."""
WORDS = ["a", "b", "c", "d", "</s>"]


def responses() -> list[list[int]]:
    """Every response there is: ended ones of up to two letters, and all of three, which are cut there."""
    ended = [[*word, EOS] for n in range(LONGEST) for word in itertools.product(range(LETTERS), repeat=n)]
    return ended + [list(word) for word in itertools.product(range(LETTERS), repeat=LONGEST)]


def checkpoint(folder: Path, kind: str = "llama", seed: int = 0) -> str:
    """A checkpoint with random weights that are large enough for an uneven distribution; returns its folder.

    `kind`: llama or gpt2, or one of them with `-wide`: a single head of 32, the least that vLLM takes on a CPU.
    """
    heads = 1 if kind.endswith("-wide") else 2
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="</s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(seed)
    shape = {"vocab_size": len(WORDS), "eos_token_id": EOS, "pad_token_id": None, "bos_token_id": None}
    if kind.startswith("llama"):
        config = LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=heads,
                             max_position_embeddings=32, initializer_range=SPREAD, **shape)  # fmt: skip
        model = LlamaForCausalLM(config)
    else:
        model = GPT2LMHeadModel(
            GPT2Config(n_embd=32, n_layer=2, n_head=heads, n_positions=32, initializer_range=SPREAD, **shape)
        )
    model.save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    fast.save_pretrained(folder)
    return str(folder)


def response_log_probs(policy: Policy, prompt: Sequence[int], temperature: float = 1.0) -> Tensor:
    """[85] exact log-probs of all responses to a prompt, in the order of `responses`, in float64."""
    every = responses()
    batch = pack([prompt] * len(every), every)
    with torch.no_grad():
        logits = response_logits(policy.model, batch, temperature).double()
    found = logits.log_softmax(dim=-1).gather(-1, batch.responses[..., None])[..., 0]
    return (found * batch.response_mask).sum(dim=1)


def sequence_log_probs(policy: Policy, tokens: Sequence[int]) -> Tensor:
    """[len(tokens) - 1] log-probs of all tokens of a sequence but the first, in float64."""
    batch = pack([tokens[:1]], [tokens[1:]])
    with torch.no_grad():
        log_probs = response_logits(policy.model, batch).double().log_softmax(dim=-1)
    found: Tensor = log_probs.gather(-1, batch.responses[..., None])[0, :, 0]
    return found


def optimum(log_reference: Tensor, rewards: Tensor, beta: float) -> tuple[Tensor, float]:
    """[85] log-probs of the best policy, and its objective: beta logsumexp(log reference + reward / beta)."""
    tilted = log_reference + rewards / beta
    return tilted.log_softmax(dim=0), float(beta * tilted.logsumexp(dim=0))


@dataclass(frozen=True)
class Ending:
    """How far a policy is from the best one for a prompt."""

    distance: float
    """Total variation."""
    kl: float
    """From the reference, nats."""
    best_kl: float
    """That of the best policy."""
    gap: float
    """What the objective lacks of its best value."""


def ending(log_reference: Tensor, log_probs: Tensor, rewards: Tensor, beta: float) -> Ending:
    best, objective = optimum(log_reference, rewards, beta)
    reached = float((log_probs.exp() * (rewards - beta * (log_probs - log_reference))).sum())
    kl, best_kl = (float((policy.exp() * (policy - log_reference)).sum()) for policy in (log_probs, best))
    return Ending(float((log_probs.exp() - best.exp()).abs().sum() / 2), kl, best_kl, objective - reached)


def entropy(log_probs: Tensor) -> float:
    return -math.fsum((log_probs.exp() * log_probs).tolist())
