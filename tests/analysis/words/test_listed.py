"""A user's list: how often, in which share of completions, with the intervals of every other estimate."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.intervals import mean_intervals, mean_p_values
from evalkit.analysis.words.listed import phrase_uses
from evalkit.metrics.word_use import PhraseUse
from evalkit.plumbing.progress import QUIET
from tests.analysis.words.texts import arms_of, groups_of, occurrences

P = 30
PHRASES = ("Delve into", "tapestry", "it's important to note that", "\u2014", "nowhere said")


@pytest.fixture(scope="module")
def texts() -> dict[str, list[list[str]]]:
    rng = np.random.default_rng(8)
    tics = ["delve into", "tapestry", "it's important to note that", "\u2014", "rain", "a lamp"]
    return {
        arm: [[" ".join(rng.choice(tics[first:], size=rng.integers(2, 7))) for _ in range(4)] for _ in range(P)]
        for arm, first in (("tuned", 0), ("base", 2))
    }


@pytest.fixture(scope="module")
def uses(texts: dict[str, list[list[str]]]) -> dict[tuple[str, str], PhraseUse]:
    groups = groups_of(texts)
    found = phrase_uses(arms_of(groups, "base"), groups, (), PHRASES, QUIET)
    return {(use.arm, use.phrase): use for use in found}


def test_there_is_one_for_each_phrase_and_arm_and_one_for_all(uses: dict[tuple[str, str], PhraseUse]) -> None:
    assert set(uses) == {(arm, phrase) for arm in ("tuned", "base") for phrase in (*PHRASES, "")}


@pytest.mark.parametrize("phrase", PHRASES)
def test_rates_and_shares_are_those_of_counting_by_hand(
    uses: dict[tuple[str, str], PhraseUse], texts: dict[str, list[list[str]]], phrase: str
) -> None:
    for arm in texts:
        use = uses[arm, phrase]
        times = np.array([occurrences(phrase.lower(), row) for row in texts[arm]])
        words = np.array([sum(len(text.split()) for text in row) for row in texts[arm]])
        holds = np.array([np.mean([occurrences(phrase.lower(), [text]) > 0 for text in row]) for row in texts[arm]])
        assert use.times == times.sum()
        [rate] = mean_intervals(1000 * (times / words)[None], 0.95, (), (0, np.inf))
        [share] = mean_intervals(holds[None], 0.95, (), (0, 1))
        assert (use.per_thousand.value, use.per_thousand.low, use.per_thousand.high) == pytest.approx(
            (rate.value, rate.low, rate.high)
        )
        assert (use.share.value, use.share.low, use.share.high) == pytest.approx((share.value, share.low, share.high))


def test_the_difference_is_paired_by_prompt_and_a_baseline_has_none(
    uses: dict[tuple[str, str], PhraseUse], texts: dict[str, list[list[str]]]
) -> None:
    per_prompt = {
        arm: np.array([1000 * occurrences("tapestry", row) / sum(len(t.split()) for t in row) for row in rows])
        for arm, rows in texts.items()
    }
    gap = uses["tuned", "tapestry"].per_thousand_gap
    assert gap is not None
    assert gap.value == pytest.approx((per_prompt["tuned"] - per_prompt["base"]).mean())
    assert gap.p == pytest.approx(mean_p_values((per_prompt["tuned"] - per_prompt["base"])[None])[0])
    assert gap.q is not None
    assert gap.q >= (gap.p or 0)
    assert uses["base", "tapestry"].per_thousand_gap is None
    assert uses["base", "tapestry"].baseline is None


def test_all_together_holds_a_completion_once(uses: dict[tuple[str, str], PhraseUse]) -> None:
    for arm in ("tuned", "base"):
        single = [uses[arm, phrase] for phrase in PHRASES]
        assert uses[arm, ""].times == sum(use.times for use in single)
        assert max(use.share.value or 0 for use in single) <= (uses[arm, ""].share.value or 0) <= 1


def test_case_quotes_and_ends_of_words() -> None:
    texts = {"a": [["It\u2019s a Tapestry.", "tapestries", "\u201ctapestry\u201d, it's"]]}
    groups = groups_of(texts)
    found = phrase_uses(arms_of(groups, "a"), groups, (), ("tapestry", "IT'S", "tapestry, it's"), QUIET)
    assert [use.times for use in found] == [2, 2, 0, 4]


def test_arms_without_a_word_have_no_rate() -> None:
    groups = groups_of({"a": [["", ""], [" ", ""]]})
    [use, _] = phrase_uses(arms_of(groups, "a"), groups, (), ("rain",), QUIET)
    assert use.per_thousand.value is None
    assert use.share.value == 0
