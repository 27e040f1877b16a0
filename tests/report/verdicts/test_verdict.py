"""What the verdict may say, and what it must never say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.records import CONFIDENCE
from evalkit.report.content.content import ReportContent
from evalkit.report.verdicts.verdict import verdict
from tests.report.example import arm, traits_of

BETTERS = {"reward": "higher", "accuracy": "higher", "distinct_n": "higher", "self_bleu": "lower", "length": "neither"}


def change(measure: str, value: float | None, p: float | None = 0.001, name: str = "tuned") -> Difference:
    low, high = (None, None) if value is None else (value - 0.02, value + 0.02)
    return Difference(measure, f"{measure}|v:1", name, "base", value, low, high, p, p)


PROMPTS = 40
SPREAD = np.tile([-1.0, 1.0], PROMPTS // 2)
NOISE = np.tile([-1.0, -1.0, 1.0, 1.0], PROMPTS // 4)


def estimated(measure: str, name: str, values: np.ndarray) -> Estimate:
    better = BETTERS.get(measure.split("|")[0], "higher")
    signature, traits = f"{measure}|v:1", traits_of(measure)
    return Estimate(measure, signature, name, 0.5, 0.4, 0.6, CONFIDENCE, PROMPTS, 8, better, tuple(values), traits)


def moved(base: np.ndarray, difference: Difference) -> np.ndarray:
    """Values whose paired differences are as clear, or as unclear, as the difference's p says."""
    assert difference.value is not None
    is_clear = difference.p is not None and difference.p < 0.05
    return base + difference.value * (1 + (0.1 if is_clear else 10.0) * NOISE)


def summary(*differences: Difference, spread: float = 0.2) -> Summary:
    """Base and the compared arms; the base's values differ by `spread` (as a standard deviation) over the prompts."""
    base = 0.5 + spread * SPREAD
    names = list(dict.fromkeys(d.arm for d in differences)) or ["tuned"]
    measures = dict.fromkeys((*BETTERS, *(d.metric for d in differences)))
    estimates = [estimated(measure, "base", base) for measure in measures] + [
        estimated(d.metric, d.arm, moved(base, d))
        for d in differences
        if d.value is not None and not math.isnan(d.value)
    ]
    arms = (arm("base", "base"), *(arm(name) for name in names))
    return Summary("creative", tuple(map(str, range(PROMPTS))), arms, tuple(estimates), differences)


BETTER = "tuned gives much better answers than base (reward +1.32, 95 % interval 1.30 to 1.34)"
WORDING = {
    "better and narrower": (
        [change("reward", 1.32), change("self_bleu", 0.21)],
        f"{BETTER} and draws from a much narrower range (self_bleu +0.21, 0.19 to 0.23).",
    ),
    "a falling self-BLEU is a wider range": (
        [change("reward", 1.32), change("self_bleu", -0.05)],
        f"{BETTER} and draws from a wider range (self_bleu −0.05, −0.07 to −0.03).",
    ),
    "worse, and clear but small": (
        [change("accuracy", -0.03)],
        "tuned gives slightly worse answers than base (accuracy −0.03, 95 % interval −0.05 to −0.01).",
    ),
    "worse in form, of which alone is known": (
        [change("task_checks", -0.03)],
        "tuned keeps slightly less often to the form that was asked for than base (task_checks −0.03, 95 % interval "
        "−0.05 to −0.01).",
    ),
    "better, and nothing clear in form": (
        [change("reward", 1.32), change("task_checks", 0.0, p=1.0)],
        "tuned gives much better answers than base, clearly by reward (together +0.95 standard deviations, 95 % interval "
        "0.92 to 0.98; reward +1.32, 1.30 to 1.34). Of 2 quality measures 1 clearly improved and 1 shows no clear "
        "difference.",
    ),
    "nothing clear in quality": (
        [change("reward", 0.03, p=0.4), change("distinct_n", -0.18)],
        "tuned gives answers neither clearly better nor clearly worse than base (reward +0.03, 95 % interval 0.01 to 0.05; "
        "no more than chance may bring among 2 differences tested at once) and draws from a much narrower range (distinct_n −0.18, −0.20 to −0.16).",
    ),
    "nothing clear of all that was measured": (
        [change("reward", 0.03, p=0.4)],
        "tuned gives answers neither clearly better nor clearly worse than base (reward +0.03, 95 % interval 0.01 to 0.05; "
        "its p is not below the 0.03 that a claim needs).",
    ),
    "nothing clear, nor an interval that leaves 0 out": (
        [change("reward", 0.01, p=0.4)],
        "tuned gives answers neither clearly better nor clearly worse than base (reward +0.01, 95 % interval −0.01 to 0.03).",
    ),
    "diversity alone": (
        [change("distinct_n", -0.18), change("self_bleu", 0.21)],
        "tuned draws from a much narrower range than base "
        "(together −0.87 standard deviations, 95 % interval −0.90 to −0.85; self_bleu +0.21, 0.19 to 0.23; "
        "distinct_n −0.18, −0.20 to −0.16). "
        "Both diversity measures clearly narrowed.",
    ),
    "measures that disagree": (
        [change("reward", 1.32), change("accuracy", -0.3)],
        "tuned is better than base by reward and worse by right answers (reward +1.32, 95 % interval 1.30 to 1.34; "
        "accuracy −0.30, −0.32 to −0.28). Of 2 quality measures 1 clearly improved and 1 clearly worsened.",
    ),
    "only length": (
        [change("length", 9.0)],
        "tuned and base are compared only on measures without a better direction.",
    ),
}


@pytest.mark.parametrize(("differences", "expected"), WORDING.values(), ids=WORDING)
def test_the_headline_says(differences: list[Difference], expected: str) -> None:
    assert verdict(summary(*differences)).headline == expected


@pytest.mark.parametrize("p", [0.05, 0.4, 1.0, None, math.nan])
def test_a_difference_that_holm_does_not_support_is_unclear(p: float | None) -> None:
    told = verdict(summary(change("reward", 1.32, p), change("self_bleu", 0.2, p)))
    assert not told.gained
    assert not told.lost
    assert len(told.unclear) == 2
    assert "clearly better nor clearly worse" in told.headline


def test_a_measure_without_direction_is_never_gained_or_lost() -> None:
    told = verdict(summary(change("reward", 1.0), change("length", 30.0)))
    assert [finding.difference.metric for finding in told.gained + told.lost] == ["reward"]
    assert [finding.difference.metric for finding in told.arms[0].changed] == ["length"]


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_missing_difference_is_unclear_and_said_so(value: float | None) -> None:
    told = verdict(summary(Difference("reward", "s", "tuned", "base", value, None, math.nan, None, None)))
    assert told.headline == "Quality could not be compared (reward undefined)."
    assert told.unclear[0].words == "reward not defined"


def test_a_side_that_was_not_measured_is_never_called_no_different() -> None:
    undefined = Difference("reward", "s", "tuned", "base", None, None, None, None, None)
    told = verdict(summary(undefined, change("self_bleu", 0.2)))
    assert "clearly better nor clearly worse" not in told.headline
    assert told.headline.startswith("tuned draws from ")
    assert told.headline.endswith("Quality could not be compared (reward undefined).")


def test_a_baseline_without_spread_is_compared_by_both_arms_spread() -> None:
    assert "gives much better answers" in verdict(summary(change("reward", 1.32), spread=0.0)).headline


def test_every_compared_arm_has_its_verdict_and_equal_settings_come_first(sweep: ReportContent) -> None:
    told = verdict(sweep.summary)
    assert [arm.arm for arm in told.arms] == ["tuned T=1", "tuned T=0.5", "tuned T=0.7", "tuned T=1.3"]
    assert told.about == ("tuned T=0.5", "tuned T=0.7", "tuned T=1", "tuned T=1.3")
    assert told.besides == (), "other temperatures of a checkpoint that is told of are a sweep, not another story"
    assert len(told.lost) == sum(len(arm.lost) for arm in told.arms)


def test_one_arm_alone_is_described() -> None:
    alone = summary()
    told = verdict(dataclasses.replace(alone, arms=alone.arms[:1]))
    assert told.arms == ()
    assert told.headline == (
        "base has reward 0.50 (95 % interval 0.40 to 0.60), distinct_n 0.50 (95 % interval 0.40 to 0.60) and "
        "self_bleu 0.50 (95 % interval 0.40 to 0.60): 40 prompts, 8 completions each. There is no baseline to compare with."
    )


def test_an_arm_without_numbers_is_described() -> None:
    empty = Summary("creative", (), (arm("base", "base"),), (), ())
    assert verdict(empty).headline == "base: nothing could be measured. There is no baseline to compare with."


def test_evidence_names_a_metric_once() -> None:
    differences = [change("distinct_n|n:1", -0.3), change("distinct_n|n:2", -0.2), change("self_bleu", 0.1)]
    headline = verdict(summary(*differences)).headline
    assert "distinct_n (n 1)" in headline
    assert "distinct_n (n 2)" not in headline
    assert "self_bleu" in headline


def test_of_many_checkpoints_the_first_few_have_a_claim_beneath_the_headline() -> None:
    one = summary(*(change("reward", 1.32, name=f"tuned {letter}") for letter in "abcdefgh"))
    arms = tuple(dataclasses.replace(each, checkpoint=each.name) for each in one.arms)
    told = verdict(dataclasses.replace(one, arms=arms))
    assert len(told.besides) == 5
    assert told.besides[0] == "tuned b gives much better answers than base."
    assert told.besides[-1] == "3 more claims: under “Arm by arm” in the report."


def test_an_arm_of_which_nothing_could_be_measured_is_named_and_told_of_last() -> None:
    lost = change("reward", None, p=None, name="cut")
    both = summary(lost, change("reward", 1.32))
    told = verdict(
        dataclasses.replace(both, arms=tuple(dataclasses.replace(each, checkpoint=each.name) for each in both.arms))
    )
    assert told.claim == "tuned gives much better answers than base."
    assert told.besides == ("cut: Quality could not be compared (reward undefined).",)
