"""Distances between answers to questions of opinion: scipy's, values by hand, and what holds of any liking for a place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance
from scipy.stats import wasserstein_distance

from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.diversity.opinions import (
    opinion_distance,
    opinion_jensen_shannon,
    opinion_order_effect,
    opinion_total_variation,
    opinion_wasserstein,
)
from evalkit.metrics.estimators.opinions import (
    answered,
    jensen_shannon,
    order_effect,
    total_variation,
    wasserstein,
    without_place,
)
from evalkit.plumbing.arrays import Array
from evalkit.records import Completion, Group, Prompt
from evalkit.suite.questions import Groups, Question, prompts_of

SCALE = Question(id="scale", text="How often?", choices=("Never", "Rarely", "Sometimes", "Often"), ordered=True)
DRINK = Question(id="drink", text="Which one?", choices=("Tea", "Coffee", "Water"))
GROUPS: Groups = {"scale": {"all often": (0.0, 0.0, 0.0, 1.0)}, "drink": {"tea": (0.8, 0.1, 0.1)}}
WEIGHTS = st.integers(2, 7).flatmap(lambda m: st.tuples(*[st.lists(st.floats(0.001, 1), min_size=m, max_size=m)] * 3))


def shares(weights: list[float]) -> Array:
    return np.array(weights) / sum(weights)


def put(question: Question, holds: Array, likes: Array) -> list[Group]:
    """The groups of a checkpoint that answers with chances proportional to holds(choice) * likes(place)."""
    groups = []
    for prompt in prompts_of([question], GROUPS):
        assert prompt.opinion is not None
        weight = {letter: holds[c] * likes[ord(letter) - ord("A")] for c, letter in enumerate(prompt.opinion.answers)}
        groups.append(
            Group(prompt, (), choice_logprobs={k: math.log(w / sum(weight.values())) for k, w in weight.items()})
        )
    return groups


@given(WEIGHTS)
def test_distances_are_scipys(weights: tuple[list[float], ...]) -> None:
    p, q = shares(weights[0]), shares(weights[1])
    places = np.linspace(0, 1, len(p))
    assert wasserstein(p, q) == pytest.approx(wasserstein_distance(places, places, p, q), abs=1e-9)
    assert jensen_shannon(p, q) == pytest.approx(scipy_distance.jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert total_variation(p, q) == pytest.approx(scipy_distance.cityblock(p, q) / 2, abs=1e-12)


def test_distances_of_small_cases() -> None:
    ends = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    assert (wasserstein(*ends), total_variation(*ends), jensen_shannon(*ends)) == (1, 1, 1)
    assert wasserstein(np.array([1.0, 0, 0]), np.array([0, 1.0, 0])) == 0.5  # half of the scale
    assert total_variation(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == 0.25
    even = np.array([0.5, 0.5])
    assert jensen_shannon(np.array([1.0, 0]), even) == pytest.approx(1.5 - 0.75 * math.log2(3))


@given(WEIGHTS)
def test_liking_a_place_is_no_opinion(weights: tuple[list[float], ...]) -> None:
    holds, likes, _ = map(shares, weights)
    question = Question(id="any", text="?", choices=tuple(f"choice {c}" for c in range(len(holds))))
    [of] = answered(put(question, holds, likes))
    assert of.shares == pytest.approx(holds, abs=1e-9)
    assert of.is_exact


def test_one_order_alone_would_take_the_liking_for_an_opinion() -> None:
    even, likes = np.ones(3), np.array([0.9, 0.05, 0.05])
    groups = put(DRINK, even, likes)
    assert opinion_distance(groups)[0] == pytest.approx(0, abs=1e-12)
    assert opinion_distance(groups[:1])[0] == pytest.approx(0.9 - 1 / 3)
    # Each order gives its first letter; the mean of all is even.
    assert opinion_order_effect(groups)[0] == pytest.approx(0.9 - 1 / 3)


def test_where_the_order_does_not_matter_it_has_no_effect() -> None:
    assert order_effect(np.array([[0.2, 0.8], [0.1, 0.4]])) == pytest.approx(0)
    assert order_effect(np.eye(4)) == pytest.approx(0.75)
    assert math.isnan(order_effect(np.array([[1.0, 2.0], [0.0, 0.0]])))


def test_a_question_has_one_value_and_each_distance_its_kind_of_question() -> None:
    groups = [*put(SCALE, np.ones(4), np.ones(4)), *put(DRINK, np.ones(3), np.ones(3)), Group(Prompt("p", "?"), ())]
    for metric, at in [
        (opinion_distance, [0, 4]),
        (opinion_wasserstein, [0]),
        (opinion_jensen_shannon, [4]),
        (opinion_total_variation, [4]),
        (opinion_order_effect, [0, 4]),
    ]:
        assert np.flatnonzero(~np.isnan(metric(groups))).tolist() == at
    assert opinion_distance(groups, group="all often")[0] == pytest.approx(0.5)  # even shares, on average half-way off
    assert opinion_distance(groups, group="tea")[4] == pytest.approx(0.8 - 1 / 3)
    assert np.isnan(opinion_distance(groups, group="tea")[0])  # nobody asked them that


def test_drawn_answers_are_added_up_over_the_orders() -> None:
    groups = []
    for prompt in prompts_of([DRINK], {}):
        assert prompt.opinion is not None
        tea, water = prompt.opinion.answers[0], prompt.opinion.answers[2]
        texts = (tea, f"{tea}.", f" {tea.lower()}", water, "I cannot say")
        groups.append(Group(prompt, tuple(Completion("p", i, text, (), (), "stop") for i, text in enumerate(texts))))
    [of] = answered(groups)
    assert of.shares == pytest.approx([0.75, 0, 0.25])
    assert not of.is_exact
    assert of.order_effect == pytest.approx(0)


def test_without_an_answer_there_is_no_distance() -> None:
    silent = [Group(prompt, ()) for prompt in prompts_of([SCALE], GROUPS)]
    assert np.isnan(opinion_distance(silent)).all()
    assert np.isnan(without_place(np.array([[-np.inf, -np.inf], [0.0, -1.0]]))).all()
    assert without_place(np.array([[-1.0, -np.inf], [-1.0, -2.0]])) == pytest.approx([1, 0])


@pytest.mark.parametrize("m", [2, 4, 5])
def test_what_counting_adds_to_a_distance_stays_within_the_stated_bias(m: int) -> None:
    chance, n, trials = np.random.default_rng(0), 64, 2000
    truth = np.full(m, 1 / m)
    drawn = chance.multinomial(n, truth, trials) / n
    added = np.mean([total_variation(row, truth) for row in drawn])
    assert added == pytest.approx(math.sqrt((m - 1) / (2 * math.pi * n)), rel=0.05)  # of normal counts; 2000 trials
    bits = np.mean([jensen_shannon(row, truth) for row in drawn])
    assert bits == pytest.approx((m - 1) / (8 * n * math.log(2)), rel=0.15)  # 2000 trials and terms of 1 / n squared


@pytest.mark.parametrize("questions", [12, 44])
def test_intervals_over_questions_hold_the_mean_of_all_questions_that_could_be_asked(questions: int) -> None:
    chance, trials = np.random.default_rng(3), 1000
    groups = chance.dirichlet(np.full(4, 2.0), 100_000)
    noise = chance.normal(0, 0.3, (2, *groups.shape))
    arms = np.exp(np.array([0.5, 0.8])[:, None, None] * np.log(groups) + noise)
    arms /= arms.sum(axis=-1, keepdims=True)
    along = np.abs(np.cumsum(arms - groups, axis=-1)[..., :-1]).sum(axis=-1) / 3
    assert along[0, 0] == pytest.approx(wasserstein(arms[0, 0], groups[0]))
    asked = chance.integers(0, len(groups), (trials, questions))
    for values, bounds in ((along[0], (0.0, 1.0)), (along[1] - along[0], (-1.0, 1.0))):
        intervals = mean_intervals(values[asked], 0.95, (), bounds)
        held = np.mean([interval.low <= values.mean() <= interval.high for interval in intervals])
        assert 0.92 <= held <= 0.98
