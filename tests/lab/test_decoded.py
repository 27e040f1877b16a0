"""Exact distributions under decoding settings: against the grammar's own at temperature 1, and against transformers' cuts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopPLogitsWarper

from evalkit.lab.decoded import decoded, texts_of
from evalkit.lab.world import load

GRAMMAR = load()


@pytest.mark.parametrize("kind", ["fact", "choice", "riddle"])
def test_untempered_texts_have_the_grammar_s_probabilities(kind: str) -> None:
    for prompt in GRAMMAR.of_kind(kind)[::15]:
        texts = texts_of(prompt)
        probabilities = texts.probabilities()
        assert probabilities.sum() == pytest.approx(1, abs=1e-9)
        assert -(probabilities * np.log(probabilities)).sum() == pytest.approx(prompt.entropy, abs=1e-8)
        if prompt.accuracy is not None:
            assert texts.right @ probabilities == pytest.approx(prompt.accuracy, abs=1e-9)


def test_one_choice_is_heated_as_a_whole() -> None:
    prompt = GRAMMAR.of_kind("choice")[0]
    stated = np.array(list(prompt.choices.values())) ** (1 / 0.7)
    assert sorted(texts_of(prompt).probabilities(0.7)) == pytest.approx(sorted(stated / stated.sum()))


def test_every_setting_leaves_a_distribution_and_heat_makes_it_wider() -> None:
    texts = texts_of(GRAMMAR.of_kind("fact")[0])
    entropies = []
    for setting in ({"temperature": 0.5}, {"top_p": 0.8}, {}, {"temperature": 1.5, "min_p": 0.1}, {"temperature": 1.5}):
        probabilities = texts.probabilities(**setting)
        assert probabilities.sum() == pytest.approx(1, abs=1e-9)
        entropies.append(-sum(p * math.log(p) for p in probabilities if p > 0))
    assert entropies[0] < entropies[2] < entropies[4]
    assert entropies[1] < entropies[2]
    assert entropies[3] < entropies[4]


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize(("top_p", "min_p"), [(1.0, 0.0), (0.9, 0.0), (0.4, 0.0), (1.0, 0.05), (1.0, 0.3)])
def test_a_step_is_cut_as_transformers_cuts_it(temperature: float, top_p: float, min_p: float) -> None:
    state = np.random.default_rng(7).dirichlet(np.full(40, 0.3))
    logits = TemperatureLogitsWarper(temperature)(None, torch.log(torch.tensor(state))[None])
    if top_p < 1:
        logits = TopPLogitsWarper(top_p)(None, logits)
    if min_p > 0:
        logits = MinPLogitsWarper(min_p)(None, logits)
    assert decoded(state, temperature, top_p, min_p) == pytest.approx(logits.softmax(-1)[0].numpy(), abs=1e-9)
