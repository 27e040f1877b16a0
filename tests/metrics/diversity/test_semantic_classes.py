"""Classes of meaning: NoveltyBench's rule, and what is counted from its classes, against hand-made and published values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evalkit.errors import MetricError
from evalkit.metrics.diversity.semantic_classes import (
    THRESHOLD,
    class_entropy,
    distinct_k,
    partition,
    semantic_entropy,
    simpson_classes,
)
from evalkit.metrics.embeddings.encoder import encode
from evalkit.records import Completion, Group
from tests.metrics.diversity.groups import classed, group_of
from tests.metrics.diversity.paraphrases import ANSWERS

CLASSES = st.lists(st.integers(0, 4), min_size=1, max_size=9)


def spoken(texts: Sequence[str], rows: np.ndarray) -> Group:
    return replace(group_of(texts), embeddings=rows.astype(np.float32))


def weighed(classes: Sequence[int], probabilities: Sequence[float], sequences: Sequence[int]) -> Group:
    """A group in these classes, each completion a token sequence (by its number) of this probability."""
    group = classed(classes)
    completions = tuple(
        Completion("p", one.sample_index, one.text, (7, sequence), (0.0, math.log(p)), "stop")
        for one, p, sequence in zip(group.completions, probabilities, sequences, strict=True)
    )
    return replace(group, completions=completions)


def in_order_of_appearance(classes: Sequence[int]) -> list[int]:
    numbers = {one: number for number, one in enumerate(dict.fromkeys(classes))}
    return [numbers[one] for one in classes]


@given(CLASSES)
def test_classes_are_numbered_as_they_appear(classes: list[int]) -> None:
    assert partition(classed(classes), THRESHOLD).tolist() == in_order_of_appearance(classes)


def test_a_completion_is_compared_with_the_first_of_a_class_alone() -> None:
    # b is near a, and c is near b but not near a: c founds a class of its own, and d, near both, joins the first.
    angles = np.radians([0, 40, 80, 44])
    group = spoken(
        [f"{name} is a text of more than five words" for name in "abcd"], np.stack([np.cos(angles), np.sin(angles)], 1)
    )
    assert partition(group, math.cos(math.radians(45))).tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Paris", "paris", True),
        ("Paris", "Rome", False),
        ("deep blue", "light blue", True),  # 1 of 2
        ("a deep blue", "a light green", False),  # 1 of 3
        ("red green blue", "red green", True),  # 2 of 3
        ("one two three four five", "one two three", True),  # 3 of 5
        ("one two three four five", "one two", False),  # 2 of 5
        ("", "", True),
        ("", "yes", False),
    ],
)
def test_short_answers_are_compared_word_by_word(one: str, other: str, same: bool) -> None:
    at_right_angles = spoken([one, other], np.eye(2))
    assert partition(at_right_angles, THRESHOLD).tolist() == [0, 0 if same else 1]
    parallel = spoken([one, other], np.ones((2, 1)))
    assert partition(parallel, THRESHOLD).tolist() == [0, 0 if same else 1]


def test_a_short_answer_and_a_long_one_are_compared_by_the_encoder() -> None:
    texts = ["Paris", "I would say that it is Paris"]
    assert partition(spoken(texts, np.ones((2, 1))), THRESHOLD).tolist() == [0, 0]
    assert partition(spoken(texts, np.eye(2)), THRESHOLD).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["红色", "红色的。", "蓝色", "深蓝色"], [0, 0, 1, 1]),  # red, red, blue, deep blue
        (["三", "四", "五"], [0, 1, 2]),
        (["猫", "狗", "一只猫"], [0, 1, 0]),
        (["東京", "京都", "東京都"], [0, 1, 0]),
        (["สีแดง", "สีเขียว", "แดง"], [0, 1, 0]),
        (["Paris", "paris", "巴黎"], [0, 0, 1]),
        (["我喜欢在清晨的公园里散步。", "我喜欢在傍晚的公园里散步。", "他把旧自行车送给了邻居。"], [0, 0, 1]),
    ],
)
def test_answers_in_scripts_without_spaces_are_compared_by_letters_and_meaning(
    texts: list[str], classes: list[int]
) -> None:
    group = replace(spoken(texts, encode(texts)), tokenizer="13a+char")
    assert partition(group, THRESHOLD).tolist() == classes


@pytest.mark.parametrize("tokenizer", ["zh", "13a+char", "ja-mecab", "char"])
def test_the_tokenizer_changes_nothing_where_words_have_spaces(tokenizer: Any) -> None:
    group = spoken(["deep blue", "light blue", "a deep red", "Paris."], np.eye(4))
    assert partition(replace(group, tokenizer=tokenizer), THRESHOLD).tolist() == partition(group, THRESHOLD).tolist()


def test_equal_texts_are_one_class_where_novelty_bench_s_rule_has_two() -> None:
    text = "ha ha ha ha"
    words = text.split()
    assert 2 * len(set(words) & set(words)) < len(words)  # their rule: 1 shared word of 4, "different"
    assert distinct_k(spoken([text, text], np.eye(2))) == 1


def test_the_threshold_tells_paraphrases_from_other_answers_as_its_docstring_says() -> None:
    pairs = {True: 0, False: 0}
    joined = {True: 0, False: 0}
    for meanings in ANSWERS.values():
        texts = [wording for meaning in meanings for wording in meaning]
        assert min(len(text.split()) for text in texts) > 5
        cosines = encode(texts) @ encode(texts).T
        for i, j in combinations(range(len(texts)), 2):
            pairs[i // 2 == j // 2] += 1
            joined[i // 2 == j // 2] += bool(cosines[i, j] >= THRESHOLD)
    assert pairs == {True: 36, False: 144}
    assert joined == {True: 35, False: 4}


@pytest.mark.parametrize(
    ("classes", "theirs"),
    [
        # The first two: NoveltyBench's committed gemini-1.5-pro file, nb-curated 35 and 4: `distinct` is one too low.
        ([0, 1, 2, 1, 3, 4, 5, 6, 1, 2], 6),
        ([0, 0, 0, 1, 2, 0, 0, 0, 0, 0], 2),
        ([0] * 10, 0),
    ],
)
def test_distinct_k_counts_the_classes_that_novelty_bench_numbers_from_0(classes: list[int], theirs: int) -> None:
    assert distinct_k(classed(classes)) == pytest.approx(theirs + 1)


@given(CLASSES, st.integers(1, 9))
def test_distinct_k_is_the_mean_over_all_subsets_of_k(classes: list[int], k: int) -> None:
    if k > len(classes):
        with pytest.raises(MetricError, match=f"k is {k}; of {len(classes)} completions"):
            distinct_k(classed(classes), k=k)
        return
    wanted = np.mean([len(set(subset)) for subset in combinations(classes, k)])
    assert distinct_k(classed(classes), k=k) == pytest.approx(wanted, abs=1e-12)


@given(CLASSES.filter(lambda classes: len(classes) > 1))
def test_simpson_classes_is_the_share_of_pairs_that_differ(classes: list[int]) -> None:
    wanted = np.mean([one != other for one, other in combinations(classes, 2)])
    assert simpson_classes(classed(classes)) == pytest.approx(wanted, abs=1e-12)


def test_simpson_classes_does_not_move_with_k_where_distinct_k_and_plain_entropy_do() -> None:
    distribution = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    rng = np.random.default_rng(0)
    means = {}
    for k in (4, 32):
        groups = [classed(rng.choice(6, k, p=distribution)) for _ in range(600)]
        means[k] = {
            "simpson": np.mean([simpson_classes(group) for group in groups]),
            "distinct": np.mean([distinct_k(group) for group in groups]),
            "plain": np.mean([class_entropy(group, correction="none") for group in groups]),
            "rarefied": np.mean([distinct_k(group, k=4) for group in groups]),
        }
    truth = 1 - float(distribution @ distribution)
    # The standard error of a mean over 600 prompts is about 0.01 at k = 4, and less at 32.
    assert means[4]["simpson"] == pytest.approx(truth, abs=0.04)
    assert means[32]["simpson"] == pytest.approx(truth, abs=0.02)
    assert means[4]["rarefied"] == pytest.approx(means[32]["rarefied"], abs=0.15)
    assert means[32]["distinct"] > 1.8 * means[4]["distinct"]
    assert means[32]["plain"] > 1.4 * means[4]["plain"]


def test_class_entropy_of_four_answers_is_the_published_one() -> None:
    # Farquhar et al.'s own test of their discrete form: ids [0, 1, 2, 1].
    assert class_entropy(classed([0, 1, 2, 1]), correction="none") == pytest.approx(1.0397, abs=5e-5)


@given(CLASSES)
def test_class_entropy_without_correction_is_scipy_s(classes: list[int]) -> None:
    wanted = stats.entropy(np.bincount(classes))
    assert class_entropy(classed(classes), correction="none") == pytest.approx(wanted, abs=1e-12)


def test_the_correction_brings_class_entropy_near_the_truth() -> None:
    distribution = np.full(8, 1 / 8)
    rng = np.random.default_rng(1)
    groups = [classed(rng.choice(8, 16, p=distribution)) for _ in range(300)]
    plain = np.mean([class_entropy(group, correction="none") for group in groups])
    corrected = np.mean([class_entropy(group) for group in groups])
    assert plain < math.log(8) - 0.15
    assert corrected == pytest.approx(math.log(8), abs=0.05)


def test_semantic_entropy_weighs_classes_by_the_probability_of_their_sequences() -> None:
    # Class 0: sequences of 0.4 and 0.1; class 1: one of 0.25. Shares 2/3 and 1/3.
    group = weighed([0, 0, 1], [0.4, 0.1, 0.25], [1, 2, 3])
    assert semantic_entropy(group) == pytest.approx(stats.entropy([2, 1]), abs=1e-9)


def test_a_sequence_drawn_twice_is_weighed_once() -> None:
    once, twice = weighed([0, 1], [0.4, 0.2], [1, 2]), weighed([0, 0, 1], [0.4, 0.4, 0.2], [1, 1, 2])
    assert semantic_entropy(twice) == pytest.approx(semantic_entropy(once), abs=1e-12)
    # The reference code adds every draw: shares 0.8 and 0.2, an entropy of 0.5004 where 0.6365 is right.
    assert stats.entropy([0.8, 0.2]) == pytest.approx(0.5004, abs=1e-4)
    assert semantic_entropy(twice) == pytest.approx(0.6365, abs=1e-4)


def test_semantic_entropy_of_all_sequences_there_are_is_exact() -> None:
    distribution = [0.5, 0.3, 0.15, 0.05]
    group = weighed([0, 1, 0, 2], distribution, [1, 2, 3, 4])
    assert semantic_entropy(group) == pytest.approx(stats.entropy([0.65, 0.3, 0.05]), abs=1e-12)


def test_probabilities_too_small_for_a_float_still_weigh() -> None:
    group = classed([0, 1])
    completions = tuple(replace(one, token_ids=(one.sample_index,), logprobs=(-2000.0,)) for one in group.completions)
    assert semantic_entropy(replace(group, completions=completions)) == pytest.approx(math.log(2))


def test_too_few_completions_or_no_log_probs() -> None:
    nothing, one = spoken([], np.empty((0, 3))), classed([0])
    for metric in (distinct_k, simpson_classes, class_entropy, semantic_entropy):
        assert math.isnan(metric(nothing))
    assert distinct_k(one) == 1
    assert class_entropy(one) == 0
    assert math.isnan(simpson_classes(one))
    assert math.isnan(semantic_entropy(classed([0, 1])))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda group: distinct_k(group, threshold=1.5), "threshold is 1.5; a cosine is between -1 and 1"),
        (lambda group: distinct_k(group, threshold=math.nan), "threshold is nan"),
        (lambda group: distinct_k(group, k=-1), "k is -1"),
        (lambda group: class_entropy(group, correction="guess"), "correction is 'guess'.*miller-madow"),
    ],
)
def test_a_bad_parameter_is_named(call: Callable[[Group], float], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        call(classed([0, 1, 1]))
