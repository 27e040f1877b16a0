"""The lab's world: its probabilities, entropies and voices are exact, and its texts have one reading each."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter

import pytest
from scipy import stats

from evalkit.lab.grammar import VOICES, Branch, Prompt, Slot
from evalkit.lab.world import load
from tests.lab.worlds import texts

GRAMMAR = load()
SMALL = [*GRAMMAR.of_kind("fact"), *GRAMMAR.of_kind("choice"), *GRAMMAR.of_kind("riddle")]


def readings_clash(prompt: Prompt) -> bool:
    """Square the prompt's automaton over characters: do two different paths spell one text?"""
    parts = [
        [part.options if isinstance(part, Slot) else (part,) for part in branch.parts] for branch in prompt.branches
    ]

    def enter(branch: int, part: int) -> list[tuple[int, int, int, int]]:
        if part == len(parts[branch]):
            return [(branch, part, -1, 0)]
        return [(branch, part, option, 0) for option in range(len(parts[branch][part]))]

    def follow(state: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
        branch, part, option, at = state
        if at + 1 == len(parts[branch][part][option]):
            return enter(branch, part + 1)
        return [(branch, part, option, at + 1)]

    starts = [state for branch in range(len(parts)) for state in enter(branch, 0)]
    todo = [(a, b, a != b) for a in starts for b in starts if a <= b]
    seen = set(todo)
    while todo:
        a, b, parted = todo.pop()
        if a[2] < 0 and b[2] < 0 and parted:
            return True
        if a[2] < 0 or b[2] < 0 or parts[a[0]][a[1]][a[2]][a[3]] != parts[b[0]][b[1]][b[2]][b[3]]:
            continue
        for pair in itertools.product(follow(a), follow(b)):
            state = (*pair, parted or pair[0] != pair[1])
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return False


def test_no_text_has_two_readings():
    assert [prompt.id for prompt in GRAMMAR.prompts if readings_clash(prompt)] == []


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (("a", Slot(("b", "bc"), (0.5, 0.5)), "d"), ("abd",), True),
        ((Slot(("a", "ab"), (0.5, 0.5)), Slot(("bc", "c"), (0.5, 0.5))), ("z",), True),
        (("a", Slot(("b", "bc"), (0.5, 0.5)), "d"), ("abe",), False),
    ],
    ids=["two branches spell abd", "one branch spells abc twice", "all texts differ"],
)
def test_the_reading_check_sees_ambiguity(first, second, clash):
    branches = (Branch("poet", 0.5, None, first), Branch("rude", 0.5, None, second))
    assert readings_clash(Prompt("x", "creative", "x", "x", branches)) is clash


def test_the_probabilities_of_all_texts_sum_to_one():
    for prompt in SMALL:
        every = [text for branch in prompt.branches for text in texts(branch)]
        assert len(every) == len(set(every))
        total = math.fsum(math.exp(GRAMMAR.log_prob(prompt.text, text)) for text in every)
        assert total == pytest.approx(1, abs=1e-12), prompt.id


def test_entropy_equals_enumeration():
    creative = next(p for p in GRAMMAR.prompts if p.group == "slogan")
    for prompt in [*SMALL, creative]:
        logs = [GRAMMAR.log_prob(prompt.text, text) for branch in prompt.branches for text in texts(branch)]
        assert GRAMMAR.entropy(prompt.text) == pytest.approx(-math.fsum(math.exp(x) * x for x in logs), abs=1e-9)


def test_a_text_outside_the_grammar_has_probability_zero_and_no_voice():
    prompt = "What is the capital of France?"
    assert GRAMMAR.log_prob(prompt, "The capital of France is Berlin.") == -math.inf
    assert GRAMMAR.voice_of(prompt, "Paris") is None
    assert GRAMMAR.is_true(prompt, "") is None


def test_sampling_follows_the_stated_law():
    """Chi-square over voices and truth, and over a choice's options, each at level 0.001 with a fixed seed."""
    rng = random.Random(7)
    fact = GRAMMAR.by_text["What is the capital of France?"]
    drawn = Counter(GRAMMAR.log_prob(fact.text, fact.sample(rng)) for _ in range(20_000))
    probabilities = Counter()
    for branch in fact.branches:
        for text in texts(branch):
            log_prob = GRAMMAR.log_prob(fact.text, text)
            probabilities[log_prob] += math.exp(log_prob)
    assert set(drawn) <= set(probabilities)
    expected = {log_prob: 20_000 * p for log_prob, p in probabilities.items()}
    assert stats.chisquare([drawn[log_prob] for log_prob in expected], list(expected.values())).pvalue > 0.001
    colour = GRAMMAR.by_text["Name a colour. Answer with one word."]
    named = Counter(colour.sample(rng) for _ in range(20_000))
    (slot,) = colour.branches[0].slots
    observed = [named[f"{option}."] for option in slot.options]
    assert stats.chisquare(observed, [20_000 * p for p in slot.probabilities]).pvalue > 0.001


def test_samples_are_read_back_with_their_voice():
    rng = random.Random(3)
    for prompt in GRAMMAR.prompts:
        for branch in prompt.branches:
            text = branch.sample(rng)
            assert GRAMMAR.voice_of(prompt.text, text) == branch.voice
            assert GRAMMAR.is_true(prompt.text, text) is branch.right


def judged(prompt: Prompt, text: str) -> bool:
    """Judge a text as a suite does: a regular expression, or the last number."""
    if prompt.match == "numeric":
        return re.findall(r"\d+", text)[-1:] == [prompt.answer]
    return re.search(str(prompt.match), text) is not None


def test_a_suites_match_agrees_with_the_truth_on_every_text():
    for prompt in (*GRAMMAR.of_kind("fact"), *GRAMMAR.of_kind("riddle")):
        for branch in prompt.branches:
            assert all(judged(prompt, text) is branch.right for text in texts(branch)), prompt.id


def test_the_world_has_the_stated_size():
    assert len(GRAMMAR.of_kind("creative")) >= 60
    assert len(GRAMMAR.of_kind("fact")) >= 60
    assert len(GRAMMAR.of_kind("choice")) >= 40
    assert len(GRAMMAR.of_kind("riddle")) >= 8
    assert len({p.text for p in GRAMMAR.prompts}) == len({p.id for p in GRAMMAR.prompts}) == len(GRAMMAR.prompts)
    assert all(6 <= p.entropy <= 12 for p in GRAMMAR.of_kind("creative"))


def test_shares_sum_to_one_and_the_coin_is_51_to_49():
    assert all(sum(p.shares.values()) == pytest.approx(1) and set(p.shares) == set(VOICES) for p in GRAMMAR.prompts)
    coin = "Flip a coin and say only heads or tails."
    gap = GRAMMAR.log_prob(coin, "Heads.") - GRAMMAR.log_prob(coin, "Tails.")
    assert gap == pytest.approx(math.log(51 / 49))


def test_only_the_rare_poet_solves_a_riddle():
    for riddle in GRAMMAR.of_kind("riddle"):
        assert {branch.voice for branch in riddle.branches if branch.right} == {"poet"}
        assert riddle.accuracy == pytest.approx(0.03)


@pytest.mark.parametrize("prompt", GRAMMAR.of_kind("creative")[::16], ids=lambda p: p.id)
def test_32_samples_of_a_creative_prompt_are_mostly_distinct(prompt):
    rng = random.Random(5)
    assert len({prompt.sample(rng) for _ in range(32)}) >= 24


def test_a_choices_law_is_that_of_its_completions():
    for prompt in GRAMMAR.of_kind("choice"):
        assert math.fsum(prompt.choices.values()) == pytest.approx(1)
        for answer, p in prompt.choices.items():
            assert GRAMMAR.log_prob(prompt.text, f"{answer}.") == pytest.approx(math.log(p))
    assert GRAMMAR.of_kind("fact")[0].choices == {}
