"""Curves over k hold to their truths, and the crossover is where the baseline's curve overtakes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evalkit.analysis.comparison.curves import Traced, crossovers, curves, overtaken_at, rising_ends, trace
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.declaration import Traits
from evalkit.metrics.estimators.subsets import pass_at
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import Crossover
from evalkit.records import Arm, Completion, Group, Groups, Prompt
from tests.analysis.comparison.worlds import arm, group, texts

KS = (1, 2, 4, 8, 16)
PAIR = (arm("base"), arm("tuned", baseline="base"))


def elsewhere(groups: Groups) -> SampledArms:
    """Texts of which nobody knows how they were drawn."""
    return SampledArms([Arm(name, name, None, None, None) for name in groups], groups, 2)


def traced(name: str, **values: np.ndarray) -> Traced:
    return Traced(name, "m", "share", "s", KS, values)


def test_distinct_bigrams_are_the_mean_over_all_subsets() -> None:
    own = group(["a b c", "a b", "", "c a b a b"])
    [one] = trace([], {}, elsewhere({"a": [own]}), "enc")
    assert (one.name, one.ks) == ("distinct_ngrams", (1, 2, 4))

    def bigrams(subset: tuple[int, ...]) -> int:
        return len({pair for place in subset for pair in itertools.pairwise(own.words[place])})

    expected = [np.mean([bigrams(subset) for subset in itertools.combinations(range(4), k)]) for k in one.ks]
    assert one.values["a"][0] == pytest.approx(expected)


def test_different_things_said_are_counted_where_there_are_embeddings() -> None:
    # Six long answers in three directions, 3 + 2 + 1: the classes are known, whoever divides them.
    rows = np.eye(8, dtype=np.float32)[[0, 1, 0, 2, 1, 0]]
    own = group([f"a long answer of many words, number {i}" for i in range(6)], rows=rows)
    found = {one.name: one for one in trace([], {}, elsewhere({"a": [own]}), "enc")}
    classes = [0, 1, 0, 2, 1, 0]
    expected = [np.mean([len(set(s)) for s in itertools.combinations(classes, k)]) for k in (1, 2, 4, 6)]
    assert found["classes"].ks == (1, 2, 4, 6)
    assert found["classes"].values["a"][0] == pytest.approx(expected)
    assert "enc:" in found["classes"].signature


def test_right_or_wrong_becomes_pass_at_k_and_other_scores_best_of_k() -> None:
    accuracy, reward = parse("accuracy"), parse("reward|model:lab:reward")
    scores = {str(accuracy): {"a": [np.array([1.0, 0, 0])]}, str(reward): {"a": [np.array([0.5, 2.0, 1.0])]}}
    found = {one.name: one for one in trace([accuracy, reward], scores, elsewhere({"a": [group("xyz")]}), "enc")}
    assert found["pass_at"].ks == (1, 2, 3)
    assert found["pass_at"].values["a"][0] == pytest.approx([1 / 3, 2 / 3, 1])
    assert found["best_of"].values["a"][0] == pytest.approx([3.5 / 3, 5 / 3, 2])
    assert "weights:" in found["best_of"].signature


def test_a_prompt_with_fewer_completions_or_without_a_score_is_undefined() -> None:
    accuracy = parse("accuracy")
    groups = {"a": [group("xyz"), group("x"), group("xyz")]}
    scores = {"accuracy": {"a": [np.ones(3), np.ones(1), np.full(3, np.nan)]}}
    ngrams, passed = trace([accuracy], scores, elsewhere(groups), "enc")
    assert list(np.isnan(ngrams.values["a"]).all(axis=1)) == [False, True, False]
    assert list(np.isnan(passed.values["a"]).all(axis=1)) == [False, True, True]
    [curve] = curves([passed], [arm("a")])
    assert (curve.values, curve.prompts) == ((1.0, 1.0, 1.0), 1)


def spoken(*rows: list[float]) -> Group:
    made = (Completion("p", slot, "x", (), tuple(row), "stop") for slot, row in enumerate(rows))
    return Group(Prompt("p", "?"), tuple(made))


def test_branching_goes_as_far_as_half_of_the_completions_and_half_of_the_prompts_do() -> None:
    long, short = [-math.log(4), -math.log(2), 0.0], [-math.log(16)]
    groups = {"raw": [spoken(long, short), spoken(short, short)], "cut": [spoken(long, long), spoken(long, long)]}
    sampled = SampledArms([arm("raw"), arm("cut", temperature=0.7)], groups, 2)
    found = {one.name: one for one in trace([], {}, sampled, "enc")}["branching"]
    assert found.ks == (1, 2, 3)
    assert found.values["raw"][0] == pytest.approx([8, 2, 1])
    assert found.values["raw"][1] == pytest.approx([16, math.nan, math.nan], nan_ok=True)
    assert np.isnan(found.values["cut"]).all()
    assert "branching" not in {one.name for one in trace([], {}, elsewhere(groups), "enc")}


def test_one_completion_has_no_curve() -> None:
    assert trace([], {}, elsewhere({"a": [group("x")]}), "enc") == []


def test_a_curve_of_new_things_rises_with_its_intervals_around_it() -> None:
    groups = {"a": texts(np.random.default_rng(0), prompts=25, samples=16)}
    [curve] = curves(trace([], {}, elsewhere(groups), "enc"), [arm("a")])
    values, lows, highs = (np.array(row, dtype=float) for row in (curve.values, curve.lows, curve.highs))
    assert (np.diff(values) > 0).all()
    assert ((lows <= values) & (values <= highs)).all()


def test_ends_of_a_rising_curve_rise_by_reaching_further() -> None:
    lows, highs = rising_ends(np.array([0.1, 0.3, 0.0, 0.2]), np.array([0.5, 0.9, 0.8, np.inf]))
    assert lows.tolist() == [0.0, 0.0, 0.0, 0.2]
    assert highs.tolist() == [0.5, 0.9, 0.9, np.inf]
    unknown, of_one = rising_ends(np.full(3, np.nan), np.full(3, np.nan))
    assert np.isnan([unknown, of_one]).all()


def test_intervals_of_pass_at_k_rise_with_it_and_hold_where_some_prompts_are_never_solved() -> None:
    """Eight prompts, each solved with probability 0.9 a try, but for a tenth: often all seen ones are solved."""
    rng = np.random.default_rng(0)
    ks, n, trials = (4, 8, 16), 16, 300
    held = np.zeros(len(ks))
    for _ in range(trials):
        tries = rng.binomial(n, np.where(rng.random(8) < 0.1, 0.0, 0.9))
        values = np.array([pass_at(solved, n, ks) for solved in tries])
        [curve] = curves([Traced("pass_at", "m", "share", "s", ks, {"a": values}, Traits(bounds=(0, 1)))], [arm("a")])
        lows, means, highs = (np.array(row, dtype=float) for row in (curve.lows, curve.values, curve.highs))
        assert (np.diff(lows) >= 0).all()
        assert (np.diff(highs) >= 0).all()
        assert ((lows <= means) & (means <= highs)).all()
        truth = np.array([0.9 * (1 - 0.1**k) for k in ks])
        held += (lows <= truth) & (truth <= highs)
    assert (held / trials >= 0.95).all()


def test_branching_may_fall_and_its_ends_with_it() -> None:
    values = np.array([[4.0, 2.0]] * 4 + [[5.0, 3.0]] * 4)
    [curve] = curves([Traced("branching", "position", "u", "s", (1, 2), {"a": values})], [arm("a")])
    assert curve.lows[1] is not None
    assert curve.lows[0] is not None
    assert curve.lows[1] < curve.values[1] < curve.lows[0]  # type: ignore[operator]


def test_k_completions_say_at_most_k_things() -> None:
    values = np.array([[1.0, 2.0, 4.0, 8.0]] * 7 + [[1.0, 1.9, 3.6, 6.9]])
    counted = parse("distinct_k").definition.traits
    one = Traced("classes", "distinct_k", "classes", "s", (1, 2, 4, 8), {"a": values}, counted)
    [curve] = curves([one], [arm("a")])
    assert all(high is not None and high <= k for high, k in zip(curve.highs, curve.ks, strict=True))


def test_the_best_of_shares_is_no_more_than_one() -> None:
    scores = {"task_checks": {"a": [np.array([0.0, 1.0, 1.0, 1.0]), *[np.ones(4)] * 19]}}
    found = trace([parse("task_checks")], scores, elsewhere({"a": [group("wxyz")] * 20}), "enc")
    [best] = curves([one for one in found if one.name == "best_of"], [arm("a")])
    assert best.values[0] == pytest.approx(1 - 0.25 / 20)
    assert best.highs[0] == 1.0
    assert (best.values[-1], best.highs[-1]) == (1.0, 1.0)
    assert max(best.values) <= 1.0
    assert best.lows[-1] == pytest.approx(0.025 ** (1 / 20))  # twenty of twenty, by Clopper & Pearson


@pytest.mark.parametrize(
    ("differences", "k"),
    [
        ([1, 1, 1, 1, 1], math.inf),
        ([-1, -1, -1, -1, -1], 0),
        ([1, -1, -1, -1, -1], math.sqrt(2)),  # half way from 1 to 2 on the log scale
        ([3, 2, 1, -3, -5], 4 * 2**0.25),
        ([0, 0, 0, 0, 0], math.inf),  # never below
        ([0, -1, -1, -1, -1], 1),
        ([1, -1, 1, -1, -1], 4 * math.sqrt(2)),  # beyond the last time the arm was ahead
        ([1, -1, -1, -1, 1], math.inf),
        ([1, -1, -1, -1, 0], math.inf),  # level at the end
    ],
)
def test_overtaken_where_the_difference_falls_below_zero_for_good(differences: list[float], k: float) -> None:
    assert overtaken_at(KS, np.array([differences], dtype=float))[0] == pytest.approx(k)


def solved(rng: np.random.Generator, ps: np.ndarray) -> np.ndarray:
    """(P, K): chance to be solved in k tries, for prompts of these chances a try, with noise of a few per cent."""
    exact = 1 - (1 - ps[:, None]) ** np.array(KS)
    return exact + 0.05 * rng.normal(size=exact.shape)


def test_the_crossover_s_interval_covers_where_the_curves_cross() -> None:
    # The arm solves half of the prompts at once and the rest never; the baseline solves each with chance 0.1 a try.
    rng = np.random.default_rng(0)
    truth = math.log(0.5) / math.log(0.9)  # 1 - 0.9^k = 0.5 at k = 6.58
    between = [1 - 0.9**4, 1 - 0.9**8]
    read = math.exp(np.interp(0.5, between, np.log([4, 8])))  # what straight lines between k = 4 and 8 say
    assert read == pytest.approx(truth, rel=0.02)
    covered = []
    for _ in range(60):
        tuned = np.where(rng.random(80) < 0.5, 1.0, 0.0)[:, None] * np.ones(len(KS))
        one = traced("pass_at", base=solved(rng, np.full(80, 0.1)), tuned=tuned)
        [found] = crossovers([one], [arm("base"), arm("tuned", baseline="base")])
        low = 0.0 if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        covered.append(low <= read <= high)
    # 60 trials tell coverage to within 5.6 % (two standard errors).
    assert np.mean(covered) >= 0.88


def test_an_arm_that_stays_ahead_is_not_overtaken_and_one_behind_is_from_the_start() -> None:
    ahead = np.ones((30, 5)) + np.random.default_rng(0).normal(0, 0.1, (30, 5))
    one = traced("best_of", base=np.zeros((30, 5)), tuned=ahead, worse=-ahead)
    arms = [arm("base"), arm("tuned", baseline="base"), arm("worse", baseline="base")]
    never, at_once = crossovers([one], arms)
    assert (never.k, never.low, never.high, never.largest) == (None, None, None, 16)
    assert (at_once.k, at_once.low, at_once.high) == (0.0, 0.0, 0.0)


def crossover(tuned: np.ndarray) -> Crossover:
    [found] = crossovers([traced("best_of", base=np.ones(tuned.shape), tuned=tuned)], PAIR)
    return found


@pytest.mark.parametrize("missed", [1, 2, 3])
def test_checks_missed_on_few_prompts_put_nobody_ahead_for_sure(missed: int) -> None:
    tuned = np.ones((64, len(KS)))
    tuned[:missed] -= 0.03
    found = crossover(tuned)
    assert (found.k, found.low, found.high) == (None, 0.0, None)


def test_a_check_missed_once_does_not_speak_for_what_was_sure_before() -> None:
    tuned = np.ones((64, len(KS)))
    tuned[:, :3] -= np.random.default_rng(0).uniform(0.1, 0.3, size=(64, 1))
    tuned[0] -= 0.03
    assert crossover(tuned).high is None


@pytest.mark.parametrize(("prompts", "high"), [(3, None), (30, 0.0)])
def test_few_equal_differences_are_no_sure_one(prompts: int, high: float | None) -> None:
    behind = crossover(np.zeros((prompts, len(KS))))
    assert (behind.k, behind.low, behind.high) == (high, 0.0, high)
    ahead = crossover(np.full((prompts, len(KS)), 2.0))
    assert (ahead.k, ahead.low, ahead.high) == (None, 0.0 if high is None else None, None)


def test_curves_that_end_level_are_read_as_far_as_they_differ() -> None:
    tuned = np.ones((30, len(KS)))
    tuned[:, :3] += np.array([0.2, -0.2, -0.3]) + np.random.default_rng(0).normal(0, 0.02, (30, 3))
    found = crossover(tuned)
    assert found.largest == 4
    assert found.k == pytest.approx(math.sqrt(2), rel=0.05)
    assert crossovers([traced("pass_at", base=np.ones((30, 5)), tuned=np.ones((30, 5)))], PAIR) == []


def test_only_quality_is_overtaken_and_only_where_prompts_are_shared() -> None:
    nothing = np.full((30, 5), np.nan)
    assert crossovers([traced("distinct_ngrams", base=np.zeros((30, 5)), tuned=np.ones((30, 5)))], PAIR) == []
    assert crossovers([traced("best_of", base=np.zeros((30, 5)), tuned=nothing)], PAIR) == []
