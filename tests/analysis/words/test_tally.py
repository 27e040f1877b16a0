"""Sums over prompts: those of counting by hand, whatever the portions, with clusters as units."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.words.coding import code_of
from evalkit.analysis.words.log_odds import z_over_prompts
from evalkit.analysis.words.occurring import frequent_phrases
from evalkit.analysis.words.tally import Tally, tally
from evalkit.plumbing.progress import QUIET
from tests.analysis.words.texts import groups_of, occurrences

P = 40
PAIR = ("tuned", "base")


@pytest.fixture(scope="module")
def texts() -> dict[str, list[list[str]]]:
    rng = np.random.default_rng(4)
    return {
        arm: [[" ".join(rng.choice(list("abcd"), size=rng.integers(3, 12))) for _ in range(3)] for _ in range(P)]
        for arm in PAIR
    }


def tallied(texts: dict[str, list[list[str]]], units: list[tuple[int, ...]]) -> Tally:
    groups = groups_of(texts)
    return tally([PAIR], groups, units, frequent_phrases(groups, units, QUIET), QUIET)[PAIR]


def by_hand(texts: dict[str, list[list[str]]], phrase: str) -> tuple[np.ndarray, np.ndarray]:
    """(P,) of each arm, at equal lengths."""
    counts = {arm: np.array([occurrences(phrase, row) for row in texts[arm]], dtype=float) for arm in PAIR}
    words = {arm: np.array([sum(len(text.split()) for text in row) for row in texts[arm]], dtype=float) for arm in PAIR}
    both = words["tuned"] + words["base"]
    return 2 * counts["tuned"] * words["base"] / both, 2 * counts["base"] * words["tuned"] / both


@pytest.mark.parametrize("phrase", ["a", "b c", "c d a", "d d"])
def test_sums_are_those_of_counting_by_hand(texts: dict[str, list[list[str]]], phrase: str) -> None:
    sums = tallied(texts, [(row,) for row in range(P)])
    own, other = by_hand(texts, phrase)
    at = np.searchsorted(sums.codes, np.uint64(code_of(phrase.split())))
    assert sums["own"][at] == pytest.approx(own.sum())
    assert sums["other"][at] == pytest.approx(other.sum())
    assert sums["squares"][at] == pytest.approx(((own - other) ** 2).sum())
    assert sums["moved"][at] == np.count_nonzero(np.abs(own - other) > 1e-9)
    assert sums["own_prompts"][at] == np.count_nonzero(own)
    assert sums["prompts"][at] == np.count_nonzero(own + other)
    assert sums.prompts == P


def test_prompts_of_a_cluster_are_one_draw(texts: dict[str, list[list[str]]]) -> None:
    units = [(row, row + 10, row + 20, row + 30) for row in range(10)]
    sums = tallied(texts, units)
    own, other = by_hand(texts, "a")
    by_unit = (own - other).reshape(4, 10).sum(axis=0)
    at = np.searchsorted(sums.codes, np.uint64(code_of(["a"])))
    assert sums["squares"][at] == pytest.approx((by_unit**2).sum())
    assert z_over_prompts(sums["own"] - sums["other"], sums["squares"])[at] == pytest.approx(
        by_unit.sum() / np.sqrt((by_unit**2).sum())
    )
    assert sums["prompts"][at] == np.count_nonzero(own + other)


def test_five_paraphrases_of_a_question_are_no_surer_than_the_question() -> None:
    asked = [["magic here"] if row % 3 else ["plain here"] for row in range(12)]
    base = [["plain here"] for _ in range(12)]
    once = tallied({"tuned": asked, "base": base}, [(row,) for row in range(12)])
    units = [tuple(range(row, 60, 12)) for row in range(12)]
    five = tallied({"tuned": asked * 5, "base": base * 5}, units)
    code = np.uint64(code_of(["magic"]))
    z = [
        z_over_prompts(sums["own"] - sums["other"], sums["squares"])[np.searchsorted(sums.codes, code)]
        for sums in (once, five)
    ]
    assert z[0] == pytest.approx(z[1])


def test_a_prompt_that_one_arm_has_no_word_for_takes_no_part(texts: dict[str, list[list[str]]]) -> None:
    silent = {**texts, "base": [[""], *texts["base"][1:]]}
    without = {arm: rows[1:] for arm, rows in texts.items()}
    some = tallied(silent, [(row,) for row in range(P)])
    fewer = tallied(without, [(row,) for row in range(P - 1)])
    assert some.prompts == fewer.prompts == P - 1
    assert some.words == pytest.approx(fewer.words)
    assert some["own"].sum() == pytest.approx(fewer["own"].sum())
