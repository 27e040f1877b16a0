"""What a lab model says, measured against the truth: the figures of the model cards."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.lab.corpus import Drawn
from evalkit.lab.grammar import VOICES, Grammar, Prompt
from evalkit.lab.rater import Rater
from evalkit.lab.sampling import draw
from evalkit.lab.train import log_probs

KINDS = ("creative", "fact", "choice", "riddle")


@dataclass(frozen=True)
class Portrait:
    """Means over the prompts of one kind.

    voices: share of completions by voice. accuracy: share of right answers, or None. entropy: nats a completion, by
    the model's own log-probs. distinct: different texts as a share of those drawn for a prompt. utility: the rater's.
    outside: share of completions that no voice of the grammar could have said.
    """

    voices: dict[str, float]
    accuracy: float | None
    entropy: float
    distinct: float
    utility: float
    outside: float


def portray(
    model: LlamaForCausalLM,
    grammar: Grammar,
    tokenizer: PreTrainedTokenizerFast,
    rater: Rater,
    samples: int,
    seed: int,
) -> dict[str, Portrait]:
    """Draw completions of every prompt and describe them, kind by kind."""
    return {
        kind: _portrait(model, grammar, tokenizer, rater, draw(model, tokenizer, _texts(grammar, kind), samples, seed))
        for kind in KINDS
    }


def _portrait(
    model: LlamaForCausalLM, grammar: Grammar, tokenizer: PreTrainedTokenizerFast, rater: Rater, drawn: Drawn
) -> Portrait:
    pairs = [(prompt, text) for prompt, texts in drawn.items() for text in texts]
    parsed = [grammar.by_text[prompt].parse(text) for prompt, text in pairs]
    inside = [parse[0] for parse in parsed if parse is not None]
    spoken = Counter(branch.voice for branch in inside)
    return Portrait(
        voices={voice: spoken[voice] / len(pairs) for voice in VOICES},
        accuracy=_accuracy(grammar.by_text[pairs[0][0]], sum(branch.right is True for branch in inside) / len(pairs)),
        entropy=-statistics.fmean(map(statistics.fmean, log_probs(model, tokenizer, drawn).values())),
        distinct=statistics.fmean(len(set(texts)) / len(texts) for texts in drawn.values()),
        utility=statistics.fmean(rater.utility(grammar, *pair) for pair in pairs),
        outside=1 - len(inside) / len(pairs),
    )


def _accuracy(prompt: Prompt, share: float) -> float | None:
    return None if prompt.match is None else share


def _texts(grammar: Grammar, kind: str) -> list[str]:
    return [prompt.text for prompt in grammar.of_kind(kind)]
