"""ROUGE-L of all pairs against rouge-score, and against hand-made values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from evalkit.metrics.diversity import rouge
from evalkit.metrics.diversity.rouge import rouge_l_homogenization
from tests.metrics.diversity.groups import group_of

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=70).map(" ".join), min_size=2, max_size=6)


class Words:
    """Lets rouge-score count the words that we count: its own tokenizer drops case and all but a-z and digits."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


def peer(texts: Sequence[str]) -> float:
    scorer = RougeScorer(["rougeL"], tokenizer=Words())
    return float(np.mean([scorer.score(one, other)["rougeL"].fmeasure for one, other in combinations(texts, 2)]))


@given(TEXTS.filter(all))
def test_it_is_the_mean_of_rouge_score_over_all_pairs(texts: list[str]) -> None:
    assert rouge_l_homogenization(group_of(texts)) == pytest.approx(peer(texts), abs=1e-12)


@pytest.mark.parametrize("bits", [1, 40, 2**16], ids=["a text a block", "a few", "one block"])
def test_blocks_change_nothing(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 12, size)) for size in (1, 3, 30, 64, 65, 130, 7, 7)]
    whole = peer([*texts, texts[3]])
    monkeypatch.setattr(rouge, "_BLOCK_BITS", bits)
    assert rouge_l_homogenization(group_of([*texts, texts[3]])) == pytest.approx(whole, abs=1e-12)


def test_pairs_by_hand() -> None:
    # a b c d and a c: LCS a c, F1 = 2 x 2 / 6. Each with x: 0.
    assert rouge_l_homogenization(group_of(["a b c d", "a c"])) == pytest.approx(2 / 3)
    assert rouge_l_homogenization(group_of(["a b c d", "a c", "x"])) == pytest.approx(2 / 9)


SENTENCES = st.lists(st.sampled_from(["The", "the", "sea", "Sea", "rose", "fell"]), min_size=1, max_size=8)
PROSE = st.tuples(SENTENCES, st.sampled_from(["", ".", "!", "...", ', "so."'])).map(
    lambda made: " ".join(made[0]) + made[1]
)


@given(st.lists(PROSE, min_size=2, max_size=6))
def test_prose_scores_as_rouge_score_itself_says(texts: list[str]) -> None:
    scorer = RougeScorer(["rougeL"])
    scores = [scorer.score(one, other)["rougeL"].fmeasure for one, other in combinations(texts, 2)]
    assert rouge_l_homogenization(group_of(texts)) == pytest.approx(np.mean(scores), abs=1e-12)


def test_sentences_that_share_their_punctuation_alone_share_nothing() -> None:
    assert rouge_l_homogenization(group_of(["“Rain fell,” she said.", "“Snow lay,” he sang."])) == 0


def test_a_completion_of_punctuation_alone_keeps_it() -> None:
    assert rouge_l_homogenization(group_of(["?", "!"])) == 0
    assert rouge_l_homogenization(group_of(["?", "?"])) == 1
    assert rouge_l_homogenization(group_of(["?", "So?"])) == 0


def test_texts_that_share_nothing_score_0_where_a_peer_gives_1() -> None:
    # `diversity` 0.3.1, homogenization_score(["a b", "c d"], "rougel"), returns 1.0: its guard for identical texts.
    assert rouge_l_homogenization(group_of(["a b", "c d"])) == 0


def test_empty_completions() -> None:
    assert rouge_l_homogenization(group_of(["", ""])) == 1
    assert rouge_l_homogenization(group_of(["", "a", "a"])) == pytest.approx(1 / 3)
    assert math.isnan(rouge_l_homogenization(group_of(["a"])))
    assert math.isnan(rouge_l_homogenization(group_of([])))


def test_ten_thousand_words_are_no_trouble() -> None:
    words = [f"w{number % 700}" for number in range(10_000)]
    half = words[::2]
    assert rouge_l_homogenization(group_of([" ".join(words), " ".join(half)])) == pytest.approx(2 * 5_000 / 15_000)
