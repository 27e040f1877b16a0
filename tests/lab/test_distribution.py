"""The exact distribution of the next token agrees with the grammar's probability of whole texts."""

from __future__ import annotations

import math
import random

import pytest

from evalkit.lab import tokenizer as lab
from evalkit.lab.distribution import next_token
from evalkit.lab.world import load

GRAMMAR = load()
TOKENIZER = lab.build(GRAMMAR, chat=False)


@pytest.mark.parametrize("kind", ["creative", "fact", "choice", "riddle"])
def test_next_token_laws_multiply_to_the_probability_of_the_text(kind):
    rng = random.Random(4)
    for prompt in GRAMMAR.of_kind(kind)[::7]:
        automaton = next_token(prompt, TOKENIZER)
        for text in (branch.sample(rng) for branch in prompt.branches):
            tokens = [*TOKENIZER(f" {text}", add_special_tokens=False).input_ids, TOKENIZER.eos_token_id]
            distributions = automaton.distributions(tokens)
            assert all(sum(options.values()) == pytest.approx(1, abs=1e-9) for options in distributions)
            total = math.fsum(math.log(options[token]) for options, token in zip(distributions, tokens, strict=True))
            assert total == pytest.approx(GRAMMAR.log_prob(prompt.text, text), abs=1e-8)
