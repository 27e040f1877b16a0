"""What k tries reach, against the mean over all subsets and orders, and against published values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import MetricError
from evalkit.metrics.diversity.coverage import best_of_k, niches, pass_at_k, qd_score, utility_k
from evalkit.metrics.diversity.semantic_classes import distinct_k
from evalkit.records import Group
from tests.metrics.diversity.groups import classed, group_of

JUDGED = st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 10)), min_size=1, max_size=6)


def answering(answer: str | None, *texts: str) -> Group:
    group = group_of(texts)
    return replace(group, prompt=replace(group.prompt, answer=answer))


def novelty_bench(classes: Sequence[int], worth: Sequence[float], patience: float) -> float:
    """Their utility of completions in this order, term by term."""
    seen: set[int] = set()
    total = 0.0
    for place, (one, value) in enumerate(zip(classes, worth, strict=True)):
        total += patience**place * (0.0 if one in seen else value)
        seen.add(one)
    return total * (1 - patience) / (1 - patience ** len(classes))


def lengthened(group: Group, words: Sequence[int]) -> Group:
    completions = tuple(
        replace(one, text=" ".join(f"{one.sample_index}w{i}" for i in range(count)))
        for one, count in zip(group.completions, words, strict=True)
    )
    return replace(group, completions=completions)


def test_pass_at_k_counts_right_answers_as_accuracy_does() -> None:
    group = answering("Paris", "paris.", "Rome", "the Paris", "Oslo", "Oslo", "PARIS")
    assert pass_at_k(group, k=1) == pytest.approx(0.5)
    assert pass_at_k(group, k=2) == pytest.approx(0.8)
    assert pass_at_k(group, k=4) == 1


def test_pass_at_more_than_were_drawn_is_an_error_where_two_references_say_1() -> None:
    with pytest.raises(MetricError, match="k is 3; of 2 completions it must be 1 to 2"):
        pass_at_k(answering("x", "y", "z"), k=3)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_pass_at_k_from_many_draws_is_unbiased(k: int) -> None:
    rng = np.random.default_rng(0)
    groups = [answering("x", *np.where(rng.random(10) < 0.2, "x", "y")) for _ in range(1500)]
    # 1 500 prompts: the standard error is at most 0.5 / sqrt(1 500) = 0.013.
    assert np.mean([pass_at_k(group, k=k) for group in groups]) == pytest.approx(1 - 0.8**k, abs=0.04)


@given(JUDGED)
def test_best_of_k_is_the_mean_best_over_all_subsets(judged: list[tuple[int, float]]) -> None:
    classes, quality = zip(*judged, strict=True)
    for k in range(1, len(judged) + 1):
        wanted = np.mean([max(subset) for subset in combinations(quality, k)])
        assert best_of_k(classed(classes, quality), k=k) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("classes", "marks", "utility"),
    [
        # NoveltyBench's committed gemini-1.5-pro file: nb-curated 35, 82, 4 and 32 (their marks of repeats are not
        # kept; they count 0 whatever they are, here 5).
        ([0, 1, 2, 1, 3, 4, 5, 6, 1, 2], [5, 8, 7, 5, 9, 2, 2, 9, 5, 5], 5.0712144671895265),
        ([0, 1, 2, 3, 4, 0, 0, 4, 5, 6], [10, 10, 10, 9, 10, 5, 5, 5, 9, 10], 8.056259635571626),
        ([0, 0, 0, 1, 2, 0, 0, 0, 0, 0], [10, 5, 5, 10, 10, 5, 5, 5, 5, 5], 4.305499487269143),
        ([0] * 10, [10] * 10, 2.2405804992033427),
    ],
)
def test_utility_in_the_drawn_order_is_novelty_bench_s(classes: list[int], marks: list[float], utility: float) -> None:
    assert utility_k(classed(classes, marks), orders="drawn") == pytest.approx(utility, abs=1e-12)


@settings(max_examples=30)
@given(JUDGED, st.floats(0.05, 0.95))
def test_utility_is_the_mean_of_novelty_bench_s_over_all_orders(
    judged: list[tuple[int, float]], patience: float
) -> None:
    classes, quality = zip(*judged, strict=True)
    worth = [max(value, 0) for value in quality]
    for k in range(1, len(judged) + 1):
        orders = [
            novelty_bench([classes[i] for i in order], [worth[i] for i in order], patience)
            for order in permutations(range(len(judged)), k)
        ]
        value = utility_k(classed(classes, quality), k=k, patience=patience)
        assert value == pytest.approx(np.mean(orders), abs=1e-9)


def test_utility_counts_quality_from_its_floor() -> None:
    raw = classed([0, 1, 2], [-3.0, -1.0, -2.0])
    assert utility_k(raw) == 0
    assert utility_k(raw, floor=-4) == pytest.approx(utility_k(classed([0, 1, 2], [1.0, 3.0, 2.0])))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([6, 7, 8, 20])), min_size=1, max_size=8))
def test_niches_are_classes_at_a_length(completions: list[tuple[int, int]]) -> None:
    classes, words = zip(*completions, strict=True)
    group = lengthened(classed(classes), words)
    places = [(one, int(math.log2(count))) for one, count in completions]
    for k in range(1, len(places) + 1):
        wanted = np.mean([len(set(subset)) for subset in combinations(places, k)])
        assert niches(group, k=k) == pytest.approx(wanted, abs=1e-12)
        assert niches(group, k=k) >= distinct_k(group, k=k) - 1e-12


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([6, 8, 20]), st.floats(-2, 5)), min_size=1, max_size=7))
def test_qd_score_adds_up_the_best_of_every_niche_over_all_subsets(archive: list[tuple[int, int, float]]) -> None:
    classes, words, quality = zip(*archive, strict=True)
    group = lengthened(classed(classes, quality), words)

    def score(subset: Sequence[tuple[int, int, float]]) -> float:
        best: dict[tuple[int, int], float] = {}
        for one, count, value in subset:
            niche = one, int(math.log2(count))
            best[niche] = max(best.get(niche, 0.0), value + 1)
        return sum(best.values())

    for k in range(1, len(archive) + 1):
        wanted = np.mean([score(subset) for subset in combinations(archive, k)])
        assert qd_score(group, k=k, floor=-1) == pytest.approx(wanted, abs=1e-9)


def test_what_is_not_known_is_undefined() -> None:
    empty = replace(classed([]), quality=np.empty(0))
    unscored, partly = classed([0, 1]), classed([0, 1], [1.0, math.nan])
    for group in (empty, unscored, partly):
        assert math.isnan(best_of_k(group, k=1))
        assert math.isnan(utility_k(group))
        assert math.isnan(qd_score(group))
    assert math.isnan(niches(empty))
    assert math.isnan(pass_at_k(answering(None, "x"), k=1))
    assert math.isnan(pass_at_k(answering("x"), k=1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda group: utility_k(group, patience=1.0), "patience is 1; it must be between 0 and 1"),
        (lambda group: utility_k(group, orders="some"), "orders is 'some'; it must be one of all, drawn"),
        (lambda group: utility_k(group, k=4), "k is 4; of 3 completions it must be 1 to 3, or 0"),
        (lambda group: niches(group, k=-1), "k is -1"),
        (lambda group: qd_score(group, k=9), "k is 9"),
        (lambda group: best_of_k(group, k=0), "k is 0"),
    ],
)
def test_a_bad_parameter_is_named(call: Callable[[Group], float], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        call(classed([0, 1, 1], [1.0, 2.0, 3.0]))
