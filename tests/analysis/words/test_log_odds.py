"""The paper's formula by hand and by a peer's numbers; a z over prompts that is standard normal where nothing moved."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.words import enough, suite, z_and_p
from evalkit.analysis.words.log_odds import (
    at_equal_lengths,
    discovery_rates,
    informative_prior,
    log_odds_ratio,
    p_of,
    words_at_equal_lengths,
    z_over_prompts,
)
from evalkit.plumbing.arrays import Array


def paper_z(own: Array, other: Array, words: float, other_words: float, prior: Array, prior_words: float) -> Array:
    """Equation 22 of Monroe, Colaresi & Quinn (2008): equation 16 over the root of equation 20."""
    ratio = log_odds_ratio(own, other, words, other_words, prior, prior_words)
    return np.asarray(ratio / np.sqrt(1 / (own + prior) + 1 / (other + prior)))


def test_the_papers_formula_on_a_table_made_by_hand() -> None:
    # Three words; the arm says 30 words, the baseline 20; a prior of 10 words.
    own, other, prior = np.array([12.0, 15.0, 3.0]), np.array([2.0, 15.0, 3.0]), np.array([3.0, 6.0, 1.0])
    by_hand = [
        math.log(15 / (40 - 15)) - math.log(5 / (30 - 5)),
        math.log(21 / (40 - 21)) - math.log(21 / (30 - 21)),
        math.log(4 / (40 - 4)) - math.log(4 / (30 - 4)),
    ]
    assert log_odds_ratio(own, other, 30, 20, prior, 10) == pytest.approx(by_hand)
    assert paper_z(own, other, 30, 20, prior, 10)[0] == pytest.approx(by_hand[0] / math.sqrt(1 / 15 + 1 / 5))


def test_it_gives_a_peers_numbers() -> None:
    # What the package `fightin_words` (after Hessel's FightingWords) prints in its README, with a prior of 0.05 a word.
    one, two = "the quick brown fox jumps over the lazy pig", "the lazy purple pig jumps over the lazier donkey"
    vocabulary = sorted({*one.split(), *two.split()})
    own, other = (np.array([float(text.split().count(word)) for word in vocabulary]) for text in (one, two))
    found = paper_z(own, other, 9, 9, np.full(len(vocabulary), 0.05), 0.05 * len(vocabulary))
    by_word = dict(zip(vocabulary, found, strict=True))
    assert by_word["quick"] == pytest.approx(0.6894227886807968)
    assert by_word["donkey"] == pytest.approx(-0.6894227886807968)
    assert by_word["the"] == pytest.approx(0)


def test_an_informative_prior_is_so_many_words_of_both_together_and_draws_towards_no_difference() -> None:
    own, other = np.array([40.0, 0.0]), np.array([10.0, 2.0])
    prior = informative_prior(own, other, 1000, 1000, 500)
    assert prior == pytest.approx([12.5, 0.5])
    plain = log_odds_ratio(own, other, 1000, 1000, np.zeros(2), 0)
    shrunk = log_odds_ratio(own, other, 1000, 1000, prior, 500)
    assert 0 < shrunk[0] < plain[0]
    assert plain[1] == -math.inf
    assert -math.inf < shrunk[1] < 0


@given(st.lists(st.integers(1, 500), min_size=2, max_size=5), st.integers(20_000, 10**6))
def test_words_of_one_arm_alone_have_the_same_ratio_however_rare(counts: list[int], words: int) -> None:
    """The page says so beside bars of one length: the prior goes by the counts themselves."""
    own, other = np.array(counts, dtype=np.float64), np.zeros(len(counts))
    ratios = np.exp(log_odds_ratio(own, other, words, words, informative_prior(own, other, words, words), 500))
    assert ratios == pytest.approx(np.full(len(counts), 1 + words / 250), rel=0.03)


def test_counts_at_equal_lengths_are_the_counts_where_lengths_are_equal() -> None:
    own, words = np.array([[3.0], [4.0]]), np.array([50.0, 80.0])
    assert at_equal_lengths(own, words, words) == pytest.approx(own)
    assert words_at_equal_lengths(words, words) == pytest.approx(words)
    # 3 in 50 words beside 100: by the harmonic mean of 50 and 100, 66.7 words, it is 4.
    assert at_equal_lengths(own, words, np.array([100.0, 0.0])) == pytest.approx(np.array([[4.0], [0.0]]))


def z_of(excess: Array) -> float:
    return float(z_over_prompts(excess.sum(keepdims=True), (excess**2).sum(keepdims=True))[0])


def test_a_word_of_one_prompt_is_never_sure_however_often_it_is_said() -> None:
    once, everywhere = np.zeros(60), np.ones(60)
    once[7] = 500.0
    assert z_of(once) == pytest.approx(1)
    assert z_of(everywhere) == pytest.approx(math.sqrt(60))
    # The paper's z takes each of the 500 for a draw of its own.
    assert paper_z(np.array([500.0]), np.array([0.0]), 60_000, 60_000, np.array([2.1]), 500)[0] > 7


@given(st.lists(st.floats(-100, 100).filter(lambda e: abs(e) > 1e-3), min_size=1, max_size=9))
def test_exchanging_the_arms_on_prompts_in_every_way_gives_mean_0_and_variance_1(excess: list[float]) -> None:
    signs = np.array(list(product([-1.0, 1.0], repeat=len(excess))))
    every = signs * np.array(excess)
    z = z_over_prompts(every.sum(axis=1), (every**2).sum(axis=1))
    assert z.mean() == pytest.approx(0, abs=1e-9)
    assert (z**2).mean() == pytest.approx(1)
    assert np.abs(z).max() <= math.sqrt(len(excess)) + 1e-9
    assert z_of(-np.array(excess)) == pytest.approx(-z_of(np.array(excess)))


def test_p_is_never_below_that_of_as_many_equal_signs() -> None:
    assert p_of(np.array([1.959964]), np.array([40.0]))[0] == pytest.approx(0.05, abs=1e-6)
    assert p_of(np.array([math.sqrt(5)]), np.array([5.0]))[0] == 2**-4
    assert p_of(np.array([0.0, 0.0]), np.array([0.0, 3.0])).tolist() == [1, 1]


def test_discoveries_are_benjamini_and_hochbergs() -> None:
    # Their example (1995, section 3.2) of 15 p-values: at 5 % the first four are discoveries.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1,
    ]
    assert (discovery_rates(np.array(p)) <= 0.05).tolist() == [True] * 4 + [False] * 11
    assert len(discovery_rates(np.array([]))) == 0


@pytest.mark.parametrize("asked_for", [4.0, 0.1])
@pytest.mark.parametrize("prompts", [24, 60])
def test_where_nothing_moved_z_is_standard_normal_though_prompts_are_unlike(prompts: int, asked_for: float) -> None:
    rng = np.random.default_rng([prompts, int(10 * asked_for)])
    drawn = [suite(rng, prompts, 0.02, asked_for) for _ in range(6)]
    kept = [enough(one) for one in drawn]
    z, p, theirs = (
        np.concatenate([z_and_p(one)[at][of_one] for one, of_one in zip(drawn, kept, strict=True)]) for at in range(3)
    )
    assert z.mean() == pytest.approx(0, abs=0.15)
    assert 0.9 < z.std() < 1.1
    assert (p < 0.05).mean() < 0.065
    assert (p < 0.001).mean() < 0.003
    assert (np.abs(theirs) > 1.96).mean() > 0.25


def test_of_what_is_called_moved_no_more_than_a_twentieth_has_not() -> None:
    rng = np.random.default_rng(5)
    false, found = [], []
    for _ in range(10):
        one = suite(rng, 100, 0.004, 0.5, moved=30, times=3.0)
        kept = enough(one)
        called = kept[discovery_rates(z_and_p(one)[1][kept]) <= 0.05]
        false.append((called >= 30).mean() if len(called) else 0.0)
        found.append((called < 30).sum() / 30)
    assert np.mean(false) < 0.05
    assert np.mean(found) > 0.9
