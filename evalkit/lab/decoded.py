"""The exact distribution of whole texts under any decoding setting, by listing every text of a prompt.

A sampler that heats and cuts does so token by token, so that a text's probability is no power of what it was: it is the
product of what each step leaves of its token. Facts, riddles and choices have few enough texts to list them all; then
every curve over a setting is known exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from transformers import PreTrainedTokenizerFast

from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.distribution import Belief, NextToken, next_token
from evalkit.lab.grammar import Prompt
from evalkit.lab.world import load
from evalkit.plumbing.arrays import Array

Walk = tuple[tuple[tuple[int, int], ...], tuple[int, ...]]
"""Of a text: the states that it passes with the place of the token taken there; and the tokens."""


@dataclass(frozen=True)
class Texts:
    """All texts of one prompt, and what decoding settings make of them."""

    states: tuple[Array, ...]
    """The next token's probabilities in each state that a text may be in."""
    steps: Array
    """(texts, longest) int: each text's steps, as places in all states' probabilities behind each other; the last
    place, behind them all, stands for a step after the end."""
    right: Array
    """(texts,) 1 where the text answers rightly, else 0."""

    def probabilities(self, temperature: float = 1.0, top_p: float = 1.0, min_p: float = 0.0) -> Array:
        """(texts,) probability of each text; they sum to 1. `temperature`: above 0."""
        left = [decoded(state, temperature, top_p, min_p) for state in self.states]
        return np.asarray(np.concatenate([*left, [1.0]])[self.steps].prod(axis=1), dtype=np.float64)


def decoded(state: Array, temperature: float = 1.0, top_p: float = 1.0, min_p: float = 0.0) -> Array:
    """What a sampler draws from where the model says `state`: heated first, then cut, as vLLM does it.

    min_p keeps tokens of at least so much of the likeliest one's probability; top_p the likeliest until they reach it.
    """
    hot = (state / state.max()) ** (1 / temperature)
    hot = np.where(hot >= min_p, hot, 0.0)
    hot = hot / hot.sum()
    if top_p >= 1:
        return np.asarray(hot, dtype=np.float64)
    order = np.argsort(-hot, kind="stable")
    before = np.cumsum(hot[order]) - hot[order]
    kept = np.zeros(len(hot), dtype=bool)
    kept[order] = before < top_p
    return np.asarray(np.where(kept, hot, 0.0) / hot[kept].sum(), dtype=np.float64)


def texts_of(prompt: Prompt) -> Texts:
    """Return every text that the prompt's grammar can make; for prompts with thousands of them, not millions."""
    tokenizer = _tokenizer()
    automaton = next_token(prompt, tokenizer)
    numbers: dict[Belief, int] = {}
    walks = list(_walks(automaton, automaton.start, numbers, ((), ())))
    states = tuple(np.array([*automaton.step(belief)[0].values()]) for belief in numbers)
    starts = np.concatenate([[0], np.cumsum([len(state) for state in states])])
    steps = np.full((len(walks), max(len(taken) for taken, _ in walks)), starts[-1])
    for row, (taken, _) in enumerate(walks):
        steps[row, : len(taken)] = [starts[state] + place for state, place in taken]
    texts = tokenizer.batch_decode([tokens for _, tokens in walks], skip_special_tokens=True)
    parsed = [prompt.parse(text.strip()) for text in texts]
    right = np.array([float(found is not None and bool(found[0].right)) for found in parsed])
    return Texts(states, steps, right)


def _walks(automaton: NextToken, belief: Belief, numbers: dict[Belief, int], so_far: Walk) -> Iterator[Walk]:
    distribution, after = automaton.step(belief)
    state = numbers.setdefault(belief, len(numbers))
    taken, tokens = so_far
    for place, token in enumerate(distribution):
        here = (*taken, (state, place))
        if token == automaton.eos:
            yield here, tokens
        else:
            yield from _walks(automaton, after[token], numbers, (here, (*tokens, token)))


@cache
def _tokenizer() -> PreTrainedTokenizerFast:
    return tokenizers.build(load(), chat=False)
