"""Arms whose names differ only in a number are told of as one way, and never further than the numbers go."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.metrics.summary import Difference, Summary
from evalkit.records import Arm, Better
from evalkit.report.verdicts.findings import findings
from evalkit.report.verdicts.joint import JointDifference, joint_statements
from evalkit.report.verdicts.ladder_headline import ladder_headline
from evalkit.report.verdicts.ladders import Ladder, ladders
from evalkit.report.verdicts.verdict import verdict
from tests.report.example import arm, difference, estimate

P = 24
BETTERS: dict[str, Better] = {
    "reward": "higher", "distinct_k": "higher", "kl_reverse": "neither", "tv_to_target": "lower",
}  # fmt: skip
SWAY = [0.1 * (place % 5) - 0.2 for place in range(P)]


def made(levels: dict[str, dict[str, float]]) -> Summary:
    """`levels`: measure -> arm -> mean; the first arm is the baseline; prompts differ, and the arms' gaps do a little."""
    names = list(dict.fromkeys(name for by_arm in levels.values() for name in by_arm))
    found = {
        (metric, name): estimate(
            metric,
            name,
            [level + sway + 0.01 * (place % (2 + rank)) for place, sway in enumerate(SWAY)],
            BETTERS[metric],
        )
        for metric, by_arm in levels.items()
        for rank, (name, level) in enumerate(by_arm.items())
    }
    compared = [
        difference(own, found[metric, names[0]], len(found))
        for (metric, name), own in found.items()
        if name != names[0]
    ]
    arms = tuple(arm(name, name, baseline=names[0]) for name in names)
    return Summary("creative", tuple(map(str, range(P))), arms, tuple(found.values()), tuple(compared))


FURTHER = {
    "reward": {"base": 0.0, "ppo-0.1": 2.0, "ppo-1": 1.0},
    "distinct_k": {"base": 16.0, "ppo-0.1": 4.0, "ppo-1": 12.0},
    "kl_reverse": {"base": 0.0, "ppo-0.1": 3.0, "ppo-1": 0.5},
}


def without_kl(levels: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {metric: by_arm for metric, by_arm in levels.items() if metric != "kl_reverse"}


def test_arms_are_ordered_by_how_far_they_moved() -> None:
    assert ladders(made(FURTHER)) == [Ladder("base", ("ppo-1", "ppo-0.1"), by_distance=True)]


def test_without_distances_arms_are_ordered_by_number_as_the_suite_runs() -> None:
    summary = made(without_kl(FURTHER))
    assert ladders(summary) == [Ladder("base", ("ppo-0.1", "ppo-1"), by_distance=False)]
    turned = dataclasses.replace(summary, arms=(summary.arms[0], *reversed(summary.arms[1:])))
    assert ladders(turned) == [Ladder("base", ("ppo-1", "ppo-0.1"), by_distance=False)]


@pytest.mark.parametrize("names", [("base", "tuned", "other"), ("base", "ppo-1"), ("base", "ppo-1", "dpo-2")])
def test_other_arms_form_none(names: tuple[str, ...]) -> None:
    levels = {"reward": {name: float(rank) for rank, name in enumerate(names)}}
    assert ladders(made(levels)) == []


def test_arms_of_one_checkpoint_form_none() -> None:
    arms = tuple(Arm(f"ppo-1 T={t}", "ppo-1", "tuned", arm("x", temperature=t).sampling, "base") for t in (0.5, 1.0))
    assert ladders(dataclasses.replace(made(FURTHER), arms=arms)) == []


def test_where_every_step_is_clear_the_claim_is_about_all_of_it() -> None:
    told = verdict(made(FURTHER))
    assert told.claim == "The further tuning moved from base, the better the answers and the narrower their range."
    assert "(reward) moved from 0.0" in told.numbers
    assert " in ppo-1 and " in told.numbers
    assert told.numbers.index("ppo-1") < told.numbers.index("ppo-0.1")
    assert told.headline == f"{told.claim} {told.numbers}"


def test_without_distances_it_speaks_of_steps() -> None:
    told = verdict(made(without_kl(FURTHER)))
    assert "from ppo-0.1 to ppo-1" in told.claim  # reward falls from arm to arm: no step is better
    turned = {
        m: dict(sorted(levels.items(), key=lambda x: ("base", "ppo-1", "ppo-0.1").index(x[0])))
        for m, levels in FURTHER.items()
    }
    told = verdict(made(without_kl(turned)))
    assert told.claim == (
        "From base over ppo-1 to ppo-0.1 answers get better at every step and their range gets narrower at every step."
    )


def test_a_reward_that_turns_is_not_called_the_further_the_better() -> None:
    levels = FURTHER | {"reward": {"base": 0.0, "ppo-0.1": 0.5, "ppo-1": 1.0}}
    told = verdict(made(levels))
    assert told.claim == (
        "The further tuning moved from base, the narrower the range of answers; against base, answers are better in "
        "every arm from ppo-1 to ppo-0.1."
    )


def test_what_is_told_first_says_whose_range_it_is() -> None:
    only_range = {metric: levels for metric, levels in FURTHER.items() if metric != "reward"}
    assert verdict(made(only_range)).claim == "The further tuning moved from base, the narrower the range of answers."


def test_arms_that_differ_are_told_apart() -> None:
    levels = FURTHER | {"reward": {"base": 0.0, "ppo-0.1": -0.5, "ppo-1": 1.0}}
    assert verdict(made(levels)).claim.endswith("answers are better in ppo-1, worse in ppo-0.1.")


def held_back(of: Summary, name: str, families: tuple[JointDifference, ...]) -> str:
    """The claim where the quality of `name` is not clear as a whole and consists of `families`."""
    joints = dict(joint_statements(of))
    whole = joints[name, "quality"]
    unclear = dataclasses.replace(whole.together, p_adjusted=0.04, low=0.1)
    joints[name, "quality"] = dataclasses.replace(whole, together=unclear, families=families)
    [ladder] = ladders(of)
    by_arm = {one: findings(one, "base", of) for one in ladder.arms}
    return ladder_headline(ladder, by_arm, of, joints)[0]


def test_where_the_measure_named_is_clear_and_its_side_is_not_it_says_what_holds_it_back() -> None:
    of = made(FURTHER)
    reward = joint_statements(of)["ppo-0.1", "quality"].families[0]
    right = dataclasses.replace(reward, family="right answers", p_adjusted=0.3)
    assert held_back(of, "ppo-0.1", (reward, right)).endswith(
        "answers are better in ppo-1, neither clearly better nor clearly worse in ppo-0.1 (better by reward, but not "
        "clearly by right answers)."
    )
    alone = dataclasses.replace(reward, p_adjusted=0.04)
    assert held_back(of, "ppo-0.1", (alone, right)).endswith(" in ppo-0.1 (better by reward alone).")


def test_a_measure_that_steps_the_other_way_forbids_the_claim() -> None:
    levels = FURTHER | {"accuracy": {"base": 0.0, "ppo-0.1": 0.5, "ppo-1": 0.7}}
    summary = made({m: v for m, v in levels.items() if m != "accuracy"})
    more = made({"reward": levels["accuracy"]})
    renamed = tuple(dataclasses.replace(e, metric="accuracy") for e in more.estimates)
    compared: tuple[Difference, ...] = tuple(dataclasses.replace(d, metric="accuracy") for d in more.differences)
    both = dataclasses.replace(
        summary, estimates=summary.estimates + renamed, differences=summary.differences + compared
    )
    assert "the better the answers" not in verdict(both).claim


def beside(others: dict[str, tuple[float, float, float]]) -> Summary:
    """FURTHER with more arms: name -> (reward, distinct_k, KL)."""
    rows = zip(FURTHER, zip(*others.values(), strict=True), strict=True)
    return made({metric: FURTHER[metric] | dict(zip(others, row, strict=True)) for metric, row in rows})


def test_an_arm_beside_the_ladder_has_a_claim_of_its_own() -> None:
    told = verdict(beside({"friends": (-1.0, 3.0, 2.0)}))
    assert told.claim.startswith("The further tuning moved from base")
    assert told.besides == ("friends gives much worse answers than base and draws from a much narrower range.",)


def test_a_second_ladder_is_told_of_as_one() -> None:
    told = verdict(beside({"dpo-1": (0.5, 14.0, 0.2), "dpo-0.1": (1.5, 9.0, 1.5)}))
    assert told.besides == (
        "dpo-1 to dpo-0.1: The further tuning moved from base, the better the answers and the narrower their range.",
    )


def test_a_ladder_alone_has_nothing_beside_it() -> None:
    assert verdict(made(FURTHER)).besides == ()


def test_leaving_a_stated_distribution_has_its_own_words_and_is_no_worse_answer() -> None:
    levels = {
        "tv_to_target": {"base": 0.1, "ppo-1": 0.2, "ppo-0.1": 0.6},
        "kl_reverse": {"base": 0.0, "ppo-1": 0.5, "ppo-0.1": 3.0},
    }
    told = verdict(made(levels)).claim
    assert told == "The further tuning moved from base, the further answers are from what was stated."
