"""Which phrases are worth counting: none is lost that occurs on enough prompts, and few are let in that do not."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.words import occurring
from evalkit.analysis.words.coding import code_of
from evalkit.analysis.words.occurring import LEAST_PROMPTS, buckets, frequent_phrases, in_portions
from evalkit.plumbing.progress import QUIET
from tests.analysis.words.texts import groups_of


def codes(*phrases: str) -> np.ndarray:
    return np.array([code_of(phrase.split()) for phrase in phrases], dtype=np.uint64)


def test_a_phrase_is_let_in_by_the_prompts_of_all_arms_together() -> None:
    texts = {
        "base": [["often said" if row < 4 else "other words"] for row in range(20)],
        "tuned": [["often said" if row >= 12 else "rare thing" if row == 5 else "other words"] for row in range(20)],
    }
    frequent = frequent_phrases(groups_of(texts), [(row,) for row in range(20)], QUIET)
    assert frequent.least_prompts == LEAST_PROMPTS
    held = frequent.may_hold(codes("often", "often said", "other words", "rare", "rare thing", "never"))
    assert held.tolist() == [True, True, True, False, False, False]


def test_a_phrase_counts_once_a_prompt_however_often_it_is_said() -> None:
    texts = {"base": [["word " * 50] * 9 if row < LEAST_PROMPTS - 1 else ["else"] for row in range(20)]}
    frequent = frequent_phrases(groups_of(texts), [(row,) for row in range(20)], QUIET)
    assert not frequent.may_hold(codes("word"))[0]


def test_where_too_many_would_be_tested_they_must_occur_on_more_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occurring, "MOST_PHRASES", 10)
    # Word w occurs on 8 + w prompts: of 30 words, the ten most frequent are left.
    texts = {"base": [[" , ".join(f"w{word}" for word in range(30) if row < 8 + word)] for row in range(40)]}
    frequent = frequent_phrases(groups_of(texts), [(row,) for row in range(40)], QUIET)
    assert frequent.least_prompts == 8 + 30 - 9  # the comma, which occurs on most prompts, is the tenth
    assert frequent.may_hold(codes("w29", "w20", "w5")).tolist() == [True, False, False]


def test_the_two_numbers_of_a_code_are_of_other_bits() -> None:
    rng = np.random.default_rng(1)
    first, second = buckets(rng.integers(0, 2**63, 50_000, dtype=np.uint64))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert max(first.max(), second.max()) < occurring.BUCKETS


def test_portions_hold_whole_units_and_all_rows() -> None:
    groups = groups_of({"base": [[str(row)] for row in range(70)]})
    units = [(row, row + 35) for row in range(35)]
    seen = []
    for portion, results in in_portions(lambda row, items: items["groups"]["base"].texts[0], groups, units, QUIET):
        assert sorted(results) == sorted(row for unit in portion for row in unit)
        assert all(results[row] == str(row) for row in results)
        seen += list(results)
    assert sorted(seen) == list(range(70))
