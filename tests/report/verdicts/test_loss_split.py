"""What a split loss is called: only what its intervals support, with the share where that says something."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Bar, Difference, Estimate, LossPart, LossSplit, Share, Summary
from evalkit.records import Arm
from evalkit.report.verdicts.joint import joint_statements
from evalkit.report.verdicts.loss_split import all_sentences, at_equal_length, loss_claims, loss_sentence

BAR = Bar("reward", 0.42, "the median of base", {"base": 0.5, "tuned": 0.9})
DISTANCE = Traits("diversity", "meaning", "distance in meaning", 3)
NOTHING = LossPart(0.0, -0.1, 0.1, 0.9, 1.0)


def part(value: float, is_clear: bool = True) -> LossPart:
    p = 0.001 if is_clear else 0.4
    return LossPart(value, value - 0.05, value + 0.05, p, p)


def split(gone: LossPart, narrower: LossPart, share: Share | None = None, **changes: object) -> LossSplit:
    total = part((gone.value or 0) + (narrower.value or 0))
    made = LossSplit("embedding_distance", "s", "tuned", "base", total, gone, narrower, share, 0.8, 0.7, 0.5, 0.45,
                     0.5, 0.1, part(0.4), 20, 0, (), ())  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def summary(*splits: LossSplit, tuned: float = 0.4) -> Summary:
    arms = (Arm("base", "base", "base", None, None), Arm("tuned", "tuned", "tuned", None, "base"))
    estimates = [
        Estimate("embedding_distance", "s", arm, mean, mean, mean, 0.95, 20, 8, "higher",
                 tuple(mean + 0.01 * (place % 5 - 2) for place in range(20)), DISTANCE)
        for arm, mean in (("base", 0.8), ("tuned", tuned))
    ]  # fmt: skip
    prompts = tuple(f"p{place}" for place in range(20))
    return Summary("s", prompts, arms, tuple(estimates), (), bar=BAR, splits=splits)


def claim(*splits: LossSplit, tuned: float = 0.4) -> str:
    found = summary(*splits, tuned=tuned)
    return " ".join(loss_claims(found, joint_statements(found), ["tuned"]))


def test_two_clear_parts_have_the_share_with_its_interval_and_which_answers_are_bad() -> None:
    said = claim(split(part(0.2), part(0.1), Share(0.666, 0.48, 0.83)))
    assert said == (
        "Of what tuned lost in distance in meaning (embedding_distance), 67 % (95 % interval 48 to 83 %) is that bad "
        "answers are gone, the rest a narrower range of good answers. Bad are answers with reward below 0.42."
    )


def test_a_quality_that_tells_nothing_apart_splits_nothing_and_says_so() -> None:
    """As an earlier evalkit wrote it: with a narrowing of all that was lost."""
    level = split(NOTHING, part(0.3), Share(0.0, 0.0, 0.0), baseline_bad=0.0, arm_bad=0.0)
    assert claim(level) == ""
    assert loss_sentence(level, summary(level)) == (
        "No answer of tuned or base is bad: quality tells nothing apart, so that nothing can be split."
    )
    some = replace(level, left_out=4)
    assert "No answer of tuned or base is bad on 20 prompts of 24:" in loss_sentence(some, summary(some))


def test_bad_answers_that_are_there_as_often_are_not_called_gone() -> None:
    said = claim(split(part(0.2), part(0.1), Share(0.666, 0.48, 0.83), fewer_bad=part(0.01, is_clear=False)))
    assert "is that bad answers add less variety, the rest" in said
    assert "gone" not in said


def test_a_share_that_could_be_anything_is_not_told() -> None:
    said = claim(split(part(0.2), part(0.1), Share(0.666, 0.1, 1.4)))
    assert "both that bad answers are gone and that good answers are a narrower range" in said
    assert "67" not in said


@pytest.mark.parametrize(
    ("gone", "narrower", "words"),
    [
        (part(0.2), NOTHING, "is that bad answers are gone; that good answers are a narrower range is not clear"),
        (NOTHING, part(0.2), "is a narrower range of good answers; bad answers are no clear part of it"),
        (part(0.3), part(-0.1), "its good answers are a wider range (by 0.10, 95 % interval 0.05 to 0.15)"),
        (part(-0.1), part(0.3), "is among good answers, and more: bad answers add more variety to it than to base"),
    ],
)
def test_each_part_is_claimed_only_where_it_is_clear(gone: LossPart, narrower: LossPart, words: str) -> None:
    assert words in claim(split(gone, narrower)).replace("\u00a0", " ")


def test_nothing_is_claimed_where_no_part_is_clear_or_nothing_was_lost() -> None:
    unclear = split(part(0.2, is_clear=False), part(0.1, is_clear=False))
    assert claim(unclear) == ""
    assert "cannot be told" in loss_sentence(unclear, summary(unclear))
    assert claim(split(part(0.2), part(0.1)), tuned=0.8) == "", "the headline says that the range is as wide"
    gained = split(part(-0.2), part(-0.1))
    assert claim(gained) == ""
    assert "has not clearly lost" in loss_sentence(gained, summary(gained))


def test_parts_that_hide_each_other_are_told_of_beneath() -> None:
    hidden = split(part(0.2), part(-0.2), total=NOTHING, fewer_bad=NOTHING)
    said = loss_sentence(hidden, summary(hidden))
    assert "has not clearly lost" in said
    assert "but bad answers add less variety, and its good answers are a wider range" in said


def test_prompts_that_take_no_part_are_counted() -> None:
    assert "on 12 of 20 prompts" in claim(split(part(0.2), part(0.1), prompts=12, left_out=8))
    none = split(NOTHING, NOTHING, prompts=0, left_out=20)
    assert "no prompt has two good answers or more of both arms" in loss_sentence(none, summary(none))


def test_a_measure_that_lengths_move_does_not_speak_where_they_differ() -> None:
    """In the place of its plain form stands its matched one; of a measure that lengths do not move both may speak."""
    found = summary(split(part(0.2), part(0.1)))
    matched = [replace(each, metric="matched/embedding_distance") for each in found.estimates]
    for moves in (False, True):
        estimates = tuple(
            replace(each, traits=replace(each.traits, moves_with_length=moves)) for each in (*found.estimates, *matched)
        )
        both = replace(found, estimates=estimates)
        assert bool(loss_claims(both, joint_statements(both), ["tuned"])) is not moves


def matched(found: Summary, p: float) -> Summary:
    """The same with its length-matched form, whose difference has this p."""
    estimates = [replace(each, metric="matched/embedding_distance") for each in found.estimates]
    difference = Difference("matched/embedding_distance", "s", "tuned", "base", -0.02, -0.05, 0.01, p, p)
    return replace(found, estimates=(*found.estimates, *estimates), differences=(difference,))


def test_a_loss_that_is_none_among_completions_of_equal_length_does_not_speak() -> None:
    lost = split(part(0.2), part(0.1))
    clear, gone = (matched(summary(lost), p) for p in (0.01, 0.3))
    assert loss_claims(clear, joint_statements(clear), ["tuned"])
    assert loss_claims(gone, joint_statements(gone), ["tuned"]) == []
    assert at_equal_length(lost, clear) == ""
    assert at_equal_length(lost, gone) == (
        "Among completions of equal length tuned shows no clear loss (−0.02, 95 % interval −0.05 to 0.01)."
    )
    assert at_equal_length(split(part(-0.2), part(-0.1)), gone) == ""


def test_no_clear_loss_beside_an_interval_without_0_says_why() -> None:
    """With many arms Holm's p is large where the interval, which is of one, leaves 0 out."""
    [difference] = matched(summary(split(part(0.2), part(0.1))), 0.08).differences
    found = replace(matched(summary(split(part(0.2), part(0.1))), 0.08), differences=(replace(difference, high=-0.01),))
    assert at_equal_length(split(part(0.2), part(0.1)), found).endswith("−0.05 to −0.01; Holm p = 0.08).")


def test_of_many_arms_each_that_lost_has_a_line_and_the_rest_one() -> None:
    lost, none = split(part(0.2), part(0.1)), split(NOTHING, NOTHING)
    arms = [replace(none, arm="a"), replace(lost, arm="b"), replace(none, arm="c"), replace(none, arm="d", left_out=4)]
    assert all_sentences(arms, summary(*arms)) == [
        loss_sentence(arms[1], summary(arms[1]), names_measure=False),
        "a and c have not clearly lost any against base.",
        "d has not clearly lost any against base, on 20 of 24 prompts.",
    ]


def test_where_checks_of_form_are_all_that_is_known_no_answer_is_called_good_or_bad() -> None:
    found = replace(
        summary(split(part(0.2), part(0.1), Share(0.666, 0.48, 0.83))), bar=replace(BAR, measure="task_checks")
    )
    [said] = loss_claims(found, joint_statements(found), ["tuned"])
    assert "is that answers out of form are gone, the rest a narrower range of answers in the asked form." in said
    assert said.endswith("nonsense in the asked form is counted among the answers that have it.")
    assert not re.search(r"\b(bad|good)\b", said)


def test_of_a_ladder_both_ends_are_told_and_once_what_is_bad() -> None:
    one = summary(split(part(0.2), part(0.1), Share(0.666, 0.48, 0.83)))
    arms = [*one.arms, *(replace(one.arms[1], name=name) for name in ("mid", "far"))]
    estimates = [replace(one.estimates[1], arm=name) for name in ("mid", "far")]
    splits = [replace(one.splits[0], arm=name) for name in ("tuned", "mid", "far")]
    found = replace(one, arms=tuple(arms), estimates=(*one.estimates, *estimates), splits=tuple(splits))
    near, far = loss_claims(found, joint_statements(found), ["tuned", "mid", "far"])
    assert near.startswith("Of what tuned lost")
    assert far.startswith("Of what far lost")
    assert ["Bad are" in said for said in (near, far)] == [False, True]


def test_shares_below_zero_of_other_measures_are_not_told() -> None:
    hiding = split(part(-0.1), part(0.3), Share(-0.5, -0.7, -0.3))
    another = replace(hiding, metric="vendi", share=Share(-0.4, -0.6, -0.2))
    said = loss_sentence(hiding, summary(hiding, another), [another])
    assert said.endswith("bad answers add more variety to it than to base.")
    clear = split(part(0.1), part(0.3), Share(0.25, 0.15, 0.35))
    assert "; by vendi −40 %" in loss_sentence(clear, summary(clear, another), [another])
