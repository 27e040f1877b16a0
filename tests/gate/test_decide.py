"""The verdict: a loss beyond what is allowed is found, one within is passed, and what cannot be told is never a pass."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.errors import Incomparable, InputError
from evalkit.gate.decide import GateDecision, decide
from evalkit.gate.sides import Side, choose_pairs
from evalkit.plumbing.arrays import Array
from evalkit.suite.gate_policy import DEFAULT, Allowance, Policy, Rule, Trade
from tests.sides import allowing, law, side, summary, with_hole

PAIR = [("tuned", "tuned")]


def gated(new: dict[str, Array], old: dict[str, Array], policy: Policy) -> GateDecision:
    return decide(side(new), side(old, "old"), PAIR, policy)


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.0, "pass"), (1.2, "pass"), (0.97, "pass"), (0.95, "inconclusive"), (0.9, "regression"), (0.5, "regression")],
)
@pytest.mark.parametrize("metric", ["vendi", "self_bleu"])
def test_a_share_may_be_lost_and_no_more(metric: str, factor: float, outcome: str) -> None:
    new, old = law(0)
    new = new * (factor if metric == "vendi" else 2 - factor)
    verdict = gated({metric: new}, {metric: old}, allowing(metric, relative=0.05))
    [found] = verdict.judgements
    assert found.outcome == verdict.outcome == outcome
    assert found.change == pytest.approx(factor - 1, abs=0.01)


def test_one_regression_among_many_passes_is_a_regression() -> None:
    metrics = {f"vendi|q:{i}": law(i) for i in range(5)}
    new = {metric: pair[0] for metric, pair in metrics.items()}
    old = {metric: pair[1] for metric, pair in metrics.items()}
    new["vendi|q:3"] = new["vendi|q:3"] * 0.8
    verdict = gated(new, old, allowing("diversity", relative=0.05))
    assert verdict.outcome == "regression"
    assert [j.metric for j in verdict.judgements if j.outcome == "regression"] == ["vendi|q:3"]
    assert verdict.counted("pass") == 4


def test_all_must_pass_or_the_gate_does_not() -> None:
    steady, noisy = law(0), law(1, prompts=60, noise=5.0)
    verdict = gated(
        {"vendi": steady[0], "ead_n": noisy[0]},
        {"vendi": steady[1], "ead_n": noisy[1]},
        allowing("diversity", relative=0.05),
    )
    assert {j.metric: j.outcome for j in verdict.judgements} == {"vendi": "pass", "ead_n": "inconclusive"}
    assert verdict.outcome == "inconclusive"
    [unclear] = [j for j in verdict.judgements if j.outcome == "inconclusive"]
    assert unclear.needed is not None
    assert unclear.needed > 60


def test_two_prompts_do_not_tell_how_many_would_settle_it() -> None:
    few = gated({"vendi": np.array([3.0, 3.4])}, {"vendi": np.array([3.1, 3.2])}, allowing("vendi", relative=0.05))
    [unclear] = few.judgements
    assert (unclear.outcome, unclear.needed) == ("inconclusive", None)
    assert unclear.note == "2 prompts are too few to tell how many would settle it; ask 8 or more"


def test_holm_corrects_over_all_metrics_and_arms() -> None:
    new, old = law(0)
    loss = new - (new - old).mean() - 1.75 * (new - old).std(ddof=1) / math.sqrt(60)
    alone = gated({"vendi": loss}, {"vendi": old}, allowing("vendi", absolute=0))
    assert alone.outcome == "regression"  # one-sided p is 0.043
    many = {f"vendi|q:{i}": law(i) for i in range(1, 5)}
    family = gated(
        {"vendi": loss} | {m: pair[0] + 1 for m, pair in many.items()},
        {"vendi": old} | {m: pair[1] for m, pair in many.items()},
        allowing("diversity", absolute=0),
    )
    assert family.outcome == "inconclusive"
    [found] = [j for j in family.judgements if j.metric == "vendi"]
    assert found.high is not None
    assert found.high < 0  # the interval lies wholly beyond what is allowed, which needs a word
    assert found.note.endswith("not sure enough for one of 5 measures judged together (Holm's correction)")
    assert [j.note for j in family.judgements if j.metric != "vendi"] == [""] * 4
    assert found.p_beyond == pytest.approx(5 * (alone.judgements[0].p_beyond or math.nan))


@pytest.mark.parametrize(
    ("new", "old", "note"),
    [
        pytest.param(law(0, 1)[0], law(0, 1)[1], "defined on one prompt alone", id="one prompt"),
        pytest.param(law(0)[0], law(0)[0], "the difference is the same on every prompt", id="the same run twice"),
        pytest.param(law(0)[0] + 1, law(0)[0], "the difference is the same on every prompt", id="zero variance"),
        pytest.param(np.full(60, math.nan), law(0)[1], "undefined on every prompt", id="all NaN"),
        pytest.param(with_hole(law(0)[0], 1, 2), law(0)[1], "2 prompts have a number on one side only", id="some NaN"),
    ],
)
def test_what_proves_nothing_is_inconclusive_with_a_line_and_never_a_pass(new: Array, old: Array, note: str) -> None:
    for policy in (allowing(absolute=5), allowing(relative=0.5), allowing(standard_errors=50)):
        verdict = gated({"vendi": new}, {"vendi": old}, policy)
        assert verdict.outcome == "inconclusive"
        assert note in verdict.judgements[0].note


def test_prompts_undefined_on_both_sides_take_no_part() -> None:
    new, old = law(0)
    verdict = gated({"vendi": with_hole(new, 3)}, {"vendi": with_hole(old, 3)}, allowing(relative=0.05))
    assert verdict.outcome == "pass"
    assert verdict.judgements[0].prompts == 59


def test_a_regression_on_what_is_defined_is_one_though_some_is_missing() -> None:
    new, old = law(0)
    verdict = gated({"vendi": with_hole(new * 0.5, 3)}, {"vendi": old}, allowing(relative=0.05))
    assert verdict.outcome == "regression"


@given(
    new=arrays(np.float64, 6, elements=st.floats(width=64)),
    base=arrays(np.float64, 6, elements=st.floats(width=64)),
    unit=st.sampled_from(["absolute", "relative", "standard_errors"]),
)
@settings(max_examples=200)
def test_whatever_the_numbers_are_there_is_a_verdict_or_a_line(new: Array, base: Array, unit: str) -> None:
    holed = {"vendi": np.where(np.isfinite(new), new, math.nan)}, {"vendi": np.where(np.isfinite(base), base, math.nan)}
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # the sides themselves, not the gate
            here, there = side(holed[0]), side(holed[1], "old")
        verdict = decide(here, there, PAIR, allowing(**{unit: 0.1}))
    except InputError:
        assert unit == "relative"
        return
    [found] = verdict.judgements
    assert (found.outcome == "pass") <= (found.p_within is not None and found.p_within <= 0.05)


TRADE = Policy(
    rules=(
        Rule(
            metrics=("vendi",),
            allow=Allowance(relative=0.05),
            trade=Trade(metric="reward", gain=0.3, allow=Allowance(relative=0.1)),
        ),
    )
)


@pytest.mark.parametrize(
    ("kept", "gain", "outcome"),
    [
        (1.0, 0.0, "pass"),
        (0.93, 1.0, "pass"),
        (0.93, 0.3, "inconclusive"),
        (0.93, 0.0, "regression"),
        (0.8, 1.0, "regression"),
        (0.8, 0.0, "regression"),
    ],
)
def test_diversity_may_fall_further_where_quality_rises_enough(kept: float, gain: float, outcome: str) -> None:
    (new, old), (better, was) = law(0), law(1, mean=0)
    better = better - (better - was).mean() + gain
    found = gated({"vendi": new * kept, "reward|model:m": better}, {"vendi": old, "reward|model:m": was}, TRADE)
    assert found.outcome == outcome


def test_a_trade_keeps_the_error_rate_where_only_the_gain_is_missing() -> None:
    wrong = 0
    for seed in range(400):
        (new, old), (better, was) = law(seed, noise=0.5), law(1000 + seed, mean=0)
        new, better = new - 0.07 * 10, better + 0.3 - 1e-9  # 7 % lost, and the gain is just not enough
        wrong += gated({"vendi": new, "reward": better}, {"vendi": old, "reward": was}, TRADE).outcome == "pass"
    assert wrong <= 400 * 0.05 + 4 * math.sqrt(400 * 0.05 * 0.95)


def test_a_family_without_a_loss_is_called_a_regression_in_at_most_a_twentieth_of_trials() -> None:
    wrong = 0
    for seed in range(400):
        metrics = {f"vendi|q:{i}": law(10 * seed + i, prompts=30) for i in range(6)}
        new = {metric: pair[0] for metric, pair in metrics.items()}
        old = {metric: pair[1] for metric, pair in metrics.items()}
        wrong += gated(new, old, allowing("diversity", absolute=0)).outcome == "regression"
    # Nothing is allowed and nothing was lost: the very edge. Uncorrected it would be 26 %.
    assert wrong <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_a_metric_without_a_direction_needs_one_from_the_rule() -> None:
    new, old = law(0)
    with pytest.raises(InputError, match="add `better` there"):
        gated({"length": new}, {"length": old}, allowing("length", relative=0.1))
    verdict = gated({"length": new * 1.5}, {"length": old}, allowing("length", better="lower", relative=0.1))
    assert verdict.outcome == "regression"


def test_a_share_of_a_score_below_zero_is_refused() -> None:
    new, old = law(0, mean=-3)
    with pytest.raises(InputError, match="allow an absolute loss"):
        gated({"reward": new}, {"reward": old}, allowing("reward", relative=0.1))


@pytest.mark.parametrize("typed", ["distinct_2", "distinct-2", "Distinct-N", "distinct_n|n:2"])
def test_a_rule_names_a_metric_however_it_is_spelled(typed: str) -> None:
    new, old = law(0)
    verdict = gated(
        {"distinct_n": new, "vendi": new}, {"distinct_n": old, "vendi": old}, allowing(typed, relative=0.05)
    )
    assert [judgement.metric for judgement in verdict.judgements] == ["distinct_n"]


def test_two_rules_for_one_metric_are_refused_though_spelled_apart() -> None:
    new, old = law(0)
    rules = [Rule(metrics=(name,), allow=Allowance(relative=0.05)) for name in ("distinct-2", "distinct_n")]
    with pytest.raises(InputError, match="names distinct_n twice, as 'distinct-2' and 'distinct_n'; keep one"):
        gated({"distinct_n": new}, {"distinct_n": old}, Policy(rules=tuple(rules)))


def test_a_metric_that_was_not_measured_is_named_with_its_neighbour() -> None:
    new, old = law(0)
    with pytest.raises(InputError, match=r"names metric 'vendy' \(did you mean 'vendi'\?\), which was not measured"):
        gated({"vendi": new}, {"vendi": old}, allowing("vendy", relative=0.1))


def test_everything_in_which_two_sides_differ_is_named() -> None:
    new, old = law(0)
    here, there = side({"vendi": new}), side({"vendi": old}, "old")
    changed = replace(here.summary, suite="other", prompts=("q", *here.summary.prompts[1:]))
    with pytest.raises(Incomparable) as error:
        decide(replace(here, summary=changed), there, PAIR, DEFAULT)
    assert "suite: new is of 'other', old of 'tiny'" in str(error.value)
    assert "prompts: 1 only in new (q); 1 only in old (p0)" in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 16}, "n: vendi rests on 8 completions a prompt against 16"),
        ({"signature": "vendi|k:8|v:2.0"}, "signature: vendi is vendi|k:8|v:1.0 against vendi|k:8|v:2.0"),
        ({"metric": "ead_n"}, "metric: old has ead_n, new has not"),
    ],
)
def test_numbers_that_are_not_of_one_kind_are_not_compared(values: dict[str, object], message: str) -> None:
    new, old = law(0)
    here, there = side({"vendi": new}), side({"vendi": old}, "old")
    estimates = tuple(replace(e, **values) for e in there.summary.estimates)  # type: ignore[arg-type]
    with pytest.raises(Incomparable) as error:
        decide(here, replace(there, summary=replace(there.summary, estimates=estimates)), PAIR, DEFAULT)
    assert message in str(error.value)


def test_words_split_in_two_ways_are_not_compared_and_the_remedy_is_said() -> None:
    new, old = law(0)

    def split_by(tokenizer: str, values: Array) -> Side:
        own = side({"distinct_n": values}, tokenizer)
        signature = f"distinct_n|n:2|tok:{tokenizer}|k:8|v:1.0"
        estimates = tuple(replace(one, signature=signature) for one in own.summary.estimates)
        return replace(own, summary=replace(own.summary, estimates=estimates))

    assert decide(split_by("zh", new), split_by("zh", old), PAIR, DEFAULT).judgements
    with pytest.raises(Incomparable, match=r"tok:zh.* against .*tok:13a") as error:
        decide(split_by("zh", new), split_by("13a", old), PAIR, DEFAULT)
    assert "words were split by zh against 13a: name one with `tokenizer:` in the suite" in str(error.value)


def test_prompts_of_the_same_names_but_other_texts_are_another_suite() -> None:
    new, old = law(0)
    with pytest.raises(Incomparable, match="suite version"):
        decide(
            replace(side({"vendi": new}), suite_version="a"),
            replace(side({"vendi": old}), suite_version="b"),
            PAIR,
            DEFAULT,
        )


def test_arms_of_one_name_must_have_been_drawn_alike() -> None:
    new, old = law(0)
    here, there = side({"vendi": new}), side({"vendi": old}, "old")
    arms = tuple(replace(a, sampling=replace(a.sampling, temperature=0.7)) for a in here.summary.arms)  # type: ignore[type-var]
    with pytest.raises(Incomparable, match=r"sampling: arm 'tuned' was drawn with temperature 0\.7 against 1\.0"):
        decide(replace(here, summary=replace(here.summary, arms=arms)), there, PAIR, DEFAULT)


def test_two_arms_of_one_run_are_compared() -> None:
    new, old = law(0)
    run = Side(summary({"vendi": {"base": old, "tuned": new * 0.5}}), "run")
    assert choose_pairs(run, run, []) == [("tuned", "base")]
    assert decide(run, run, [("tuned", "base")], DEFAULT).outcome == "regression"
    assert decide(run, run, [("tuned", "tuned")], DEFAULT).outcome == "inconclusive"


def test_an_arm_that_is_gone_is_not_passed_over_in_silence() -> None:
    new, old = law(0)
    with pytest.raises(Incomparable, match="arm: old has tuned, new has not; it has base, renamed"):
        choose_pairs(side({"vendi": new}, arm="renamed"), side({"vendi": old}, "old"), [])
    pairs = choose_pairs(side({"vendi": new}, arm="renamed"), side({"vendi": old}, "old"), [("renamed", "tuned")])
    assert decide(side({"vendi": new}, arm="renamed"), side({"vendi": old}, "old"), pairs, DEFAULT).outcome == "pass"


def test_only_plain_measures_are_judged_unless_a_variant_is_named() -> None:
    new, old = law(0)
    values = {"vendi": new, "pooled/vendi": new * 0.5}
    assert gated(values, {"vendi": old, "pooled/vendi": old}, DEFAULT).outcome == "pass"
    named = allowing("pooled/vendi", relative=0.05)
    assert gated(values, {"vendi": old, "pooled/vendi": old}, named).outcome == "regression"
