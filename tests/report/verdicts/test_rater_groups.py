"""Rewards of several groups of people: each is told by itself, and no mean stands for them."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.metrics.summary import Summary
from evalkit.report.sections.joint_rows import joint_rows
from evalkit.report.sections.ranking import parts
from evalkit.report.verdicts.joint import joint_statements
from evalkit.report.verdicts.rater_groups import rater_claims
from evalkit.report.verdicts.verdict import verdict
from tests.report.example import difference, estimate, synthetic

ONE, TWO = "reward|model:one", "reward|model:two"
PROMPTS = 40


def summary(first: float, second: float) -> Summary:
    """Two groups' rewards on base and tuned, which moved so far on every prompt, give or take."""
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)], prompts=PROMPTS, samples=2)
    moved = {ONE: first, TWO: second}
    values = {
        (name, arm): [(arm == "tuned") * by + ((3 * p + len(arm)) % 7) / 7 for p in range(PROMPTS)]
        for name, by in moved.items()
        for arm in ("base", "tuned")
    }
    estimates = {key: estimate(*key, list(of), "higher") for key, of in values.items()}
    differences = [difference(estimates[name, "tuned"], estimates[name, "base"], 2) for name in moved]
    return dataclasses.replace(
        content.summary,
        estimates=(*(e for e in content.summary.estimates if e.traits.side != "quality"), *estimates.values()),
        differences=(*(d for d in content.summary.differences if d.metric not in ("reward", "accuracy")), *differences),
    )


def test_a_gain_of_some_does_not_make_up_for_the_loss_of_others() -> None:
    one_sided = summary(2.0, -1.5)
    joint = joint_statements(one_sided)["tuned", "quality"]
    assert joint.is_apart
    assert joint.disagree
    said = verdict(one_sided)
    assert "is better than base by the reward of one and worse by the reward of two" in said.claim
    assert "as a whole" not in said.numbers.split("diversity")[0]
    assert [claim for claim in said.besides if "gained with the raters of one (" in claim]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (
            0.0,
            "is better than base by the reward of one and neither clearly better nor clearly worse by the reward of two",
        ),
        (1.5, "gives much better answers than base"),
    ],
)
def test_no_group_is_spoken_for_by_another(second: float, words: str) -> None:
    assert words in verdict(summary(2.0, second)).claim


def test_both_groups_numbers_stand_in_the_headline() -> None:
    numbers = verdict(summary(2.0, 1.5)).numbers
    headline = verdict(summary(2.0, 1.5)).headline
    assert headline.count("reward (model one)") == headline.count("reward (model two)") == 1
    assert numbers


def test_who_gained_and_who_lost_is_one_sentence() -> None:
    claim = rater_claims(summary(2.0, -1.5))["tuned"]
    assert claim.startswith("tuned gained with the raters of one (+1.99, 95 % interval ")
    assert " and lost with those of two (−1.5" in claim
    assert rater_claims(summary(2.0, 0.0))["tuned"].endswith("and clearly did neither with those of two.")
    assert rater_claims(summary(0.0, 0.0)) == {}


def test_rankings_and_tables_hold_no_mean_over_groups() -> None:
    both = summary(2.0, 1.5)
    assert parts(both, "base") is None  # nothing else is known of quality
    subjects = [row.subject for row in joint_rows(verdict(both)) if row.subject.startswith("quality")]
    assert subjects == ["quality: the reward of one", "quality: the reward of two"]


def test_one_reward_is_quality_as_before() -> None:
    one = summary(2.0, 1.5)
    alone = dataclasses.replace(
        one,
        estimates=tuple(e for e in one.estimates if e.metric != TWO),
        differences=tuple(d for d in one.differences if d.metric != TWO),
    )
    assert not joint_statements(alone)["tuned", "quality"].is_apart
    assert rater_claims(alone) == {}
    assert parts(alone, "base") is not None
