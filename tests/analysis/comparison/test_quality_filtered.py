"""Useful diversity: of those that pass, at equal numbers, and so without a bias from how many pass."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.analysis.comparison.quality_filtered import (
    SUBSETS,
    _subsets,
    filtered_values,
    quality_filtered_values,
    set_bar,
)
from evalkit.metrics.registry import parse
from tests.analysis.comparison.worlds import group, texts


def test_the_bar_is_the_median_of_the_baseline() -> None:
    scores = {"base": [np.array([1.0, 2.0]), np.array([3.0, 4.0, math.nan])], "tuned": [np.array([5.0, 2.0])]}
    bar = set_bar("reward", scores, "base", None)
    # The median is 2.5; the bar is the lowest that is as good.
    assert (bar.at_least, bar.source) == (3.0, "the median of base")
    assert bar.passing == {"base": pytest.approx(2 / 5), "tuned": pytest.approx(1 / 2)}


def test_right_or_wrong_sets_the_bar_at_right_however_few_are() -> None:
    for right in (1, 5, 9):
        values = np.r_[np.ones(right), np.zeros(10 - right)]
        bar = set_bar("accuracy", {"base": [values]}, "base", None)
        assert bar.at_least == 1.0
        assert bar.source == (
            "the median of base" if np.median(values) > 0 else "the next value above the median of base"
        )


def test_a_bar_that_is_asked_for_is_kept() -> None:
    bar = set_bar("reward", {"base": [np.array([1.0, 2.0])]}, "base", 1.5)
    assert (bar.at_least, bar.source, bar.passing["base"]) == (1.5, "the suite", 0.5)


def test_nothing_scored_lets_nothing_pass() -> None:
    bar = set_bar("reward", {"base": [np.array([math.nan, math.nan])]}, "base", None)
    assert bar.passing["base"] == 0


def test_only_those_that_pass_count() -> None:
    groups = {"a": [group(["one two", "noise", "one two", "din"])]}
    [found] = quality_filtered_values([parse("self_bleu")], groups, {"a": [np.array([1.0, 0.0, 1.0, math.nan])]}, 0.5)
    assert found["a"] == pytest.approx([1.0])


def test_a_completion_without_a_score_does_not_pass_and_counts_among_all() -> None:
    scores = {"a": [np.array([2.0, np.nan, np.nan, 1.0])]}
    assert set_bar("m", scores, "a", 1.0).passing == {"a": 0.5}
    measure, known = parse("length"), {"a": np.array([2.0, np.nan, 1.0])}
    assert filtered_values([measure], {"a": group(["x", "y y y", "z"])}, known, 1.0, 0) == {measure: {"a": 1.0}}


def test_a_prompt_with_fewer_than_two_in_some_arm_is_undefined_in_all() -> None:
    pair = group(["one two", "three four"])
    groups = {"a": [pair, pair], "b": [pair, pair]}
    scores = {"a": [np.ones(2), np.ones(2)], "b": [np.ones(2), np.array([1.0, 0.0])]}
    [found] = quality_filtered_values([parse("distinct_n")], groups, scores, 1.0)
    assert [list(np.isnan(values)) for values in found.values()] == [[False, True], [False, True]]


def test_one_law_reads_the_same_however_many_pass() -> None:
    # Both arms draw from one law; in one all pass, in the other a quarter. Whole distinct_n of those that pass would
    # differ by the size bias alone.
    rng = np.random.default_rng(0)
    groups = {"many": texts(rng, 60, 32), "few": texts(rng, 60, 32)}
    scores = {"many": [np.ones(32)] * 60, "few": [np.r_[np.ones(8), np.zeros(24)]] * 60}
    measure = parse("distinct_n|n:1")
    biased = np.mean([measure(g) for g in groups["many"]]) - np.mean([measure(g.only(range(8))) for g in groups["few"]])
    [found] = quality_filtered_values([measure], groups, scores, 1.0)
    difference = found["many"] - found["few"]
    error = difference.std(ddof=1) / math.sqrt(60)
    assert abs(difference.mean()) < 3 * error
    assert abs(biased) > 20 * error


def test_the_expected_value_is_the_mean_over_all_subsets() -> None:
    own = group([f"w{i % 3} w{i % 2}" for i in range(6)])
    other = group(["x", "y"])
    measure = parse("distinct_n|n:1")
    scores = {"a": [np.ones(6)], "b": [np.ones(2)]}
    pairs = [measure(own.only((i, j))) for i in range(6) for j in range(i)]
    found = [
        quality_filtered_values([measure], {"a": [group(["z"])] * shift + [own], "b": [other] * (shift + 1)},
                      {"a": [np.ones(1)] * shift + scores["a"], "b": scores["b"] * (shift + 1)}, 1.0)[0]["a"][-1]
        for shift in range(200)
    ]  # fmt: skip
    # 200 prompts' subsets: each is a draw of 8 subsets, in balance.
    assert np.mean(found) == pytest.approx(np.mean(pairs), abs=4 * np.std(pairs) / math.sqrt(200 * SUBSETS))


def test_what_does_not_depend_on_k_takes_all_that_pass() -> None:
    rows = np.eye(4, 8, dtype=np.float32)
    groups = {"a": [group("abcd", rows=rows)], "b": [group("ab", rows=rows[[0, 0]])]}
    [found] = quality_filtered_values(
        [parse("embedding_distance")], groups, {"a": [np.ones(4)], "b": [np.ones(2)]}, 1.0
    )
    assert (found["a"][0], found["b"][0]) == (pytest.approx(1.0), pytest.approx(0.0))


@pytest.mark.parametrize(("k", "m"), [(8, 2), (9, 4), (5, 4), (32, 30)])
def test_subsets_are_without_replacement_and_use_all_about_equally(k: int, m: int) -> None:
    subsets = list(_subsets(k, m, 3))
    assert len(subsets) == SUBSETS
    assert all(len(set(subset)) == m for subset in subsets)
    used = np.bincount(np.concatenate(subsets), minlength=k)
    assert used.max() - used.min() <= math.ceil(SUBSETS / (k // m))
