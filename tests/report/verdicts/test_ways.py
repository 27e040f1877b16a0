"""Which way of asking gives the widest good answers, in a sentence that claims no more than the numbers do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.metrics.summary import Bar, Difference, Summary
from evalkit.records import Asking
from evalkit.report.verdicts.joint import joint_statements
from evalkit.report.verdicts.verdict import verdict
from evalkit.report.verdicts.ways import way_words, ways_claim, ways_of
from tests.report.verdicts.test_verdict import change, summary

CLEAR, UNCLEAR = 0.001, 0.9


def asked(*differences: Difference) -> Summary:
    """Every compared arm asked for a list."""
    made = summary(*differences)
    arms = tuple(arm if arm.baseline is None else replace(arm, asking=Asking("list", 5)) for arm in made.arms)
    return replace(made, arms=arms, bar=Bar("reward", 0.5, "median of base", {"base": 0.5, "list": 0.4}))


def claim(*differences: Difference) -> str:
    made = asked(*differences)
    found = ways_claim(made, joint_statements(made))
    assert found is not None
    assert verdict(made).claim == found.claim, "it is the first thing that is said"
    return found.claim


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        (
            [change("distinct_n", 0.3, CLEAR, "list"), change("reward", 0.01, UNCLEAR, "list")],
            "Of the ways of asking list gives the widest good answers, wider than base.",
        ),
        (
            [change("distinct_n", 0.3, CLEAR, "list"), change("reward", -0.5, CLEAR, "list")],
            "No way of asking gives clearly wider good answers than base. list gives wider ones that are worse.",
        ),
        (
            [change("distinct_n", -0.3, CLEAR, "list"), change("reward", 0.01, UNCLEAR, "list")],
            "No way of asking gives clearly wider good answers than base.",
        ),
        (
            [change("distinct_n", 0.2, CLEAR, "list"), change("distinct_n", 0.4, CLEAR, "wordings"),
             change("reward", 0.01, UNCLEAR, "list"), change("reward", 0.01, UNCLEAR, "wordings")],
            "Of the ways of asking wordings gives the widest good answers, wider than base; so does list.",
        ),
    ],
)  # fmt: skip
def test_the_widest_way_is_named_among_those_that_are_not_worse(differences: list[Difference], said: str) -> None:
    assert claim(*differences) == said


def test_the_numbers_are_every_ways_range_quality_and_share_of_good_answers() -> None:
    made = asked(change("distinct_n", 0.3, CLEAR, "list"), change("reward", 0.01, UNCLEAR, "list"))
    found = ways_claim(made, joint_statements(made))
    assert found is not None
    assert found.numbers.startswith("Against base (50% good enough), with 95 % intervals: list range +")
    assert "reward +0.01 (−0.01 to 0.03), 40% good enough." in found.numbers


def test_without_a_way_of_asking_nothing_is_said_of_ways() -> None:
    made = summary(change("distinct_n", 0.3), change("reward", 0.1))
    assert ways_of(made) == []
    assert ways_claim(made, joint_statements(made)) is None
    assert "ways of asking" not in verdict(made).headline


def test_a_system_message_is_a_way_beside_others_and_none_by_itself() -> None:
    made = asked(change("distinct_n", 0.3, CLEAR, "list"), change("distinct_n", 0.1, UNCLEAR, "told"))
    told = replace(made, arms=tuple(
        replace(arm, asking=None, system="Surprise me.") if arm.name == "told" else arm for arm in made.arms
    ))  # fmt: skip
    assert [arm.name for arm in ways_of(told)] == ["base", "list", "told"]
    assert [way_words(arm) for arm in ways_of(told)] == [
        "one answer in each completion", "5 answers in one completion",
        "one answer in each completion, under a system message",
    ]  # fmt: skip
    alone = replace(told, arms=tuple(replace(arm, asking=None) for arm in told.arms))
    assert ways_of(alone) == []


def test_ways_of_which_nothing_is_clear_are_told_of_once() -> None:
    told = verdict(
        asked(
            change("distinct_n", 0.3, CLEAR, "list"), change("reward", 0.01, UNCLEAR, "list"),
            change("distinct_n", 0.1, UNCLEAR, "wordings"), change("reward", 0.01, UNCLEAR, "wordings"),
        )
    )  # fmt: skip
    assert "wordings range" in told.numbers
    assert [claim.split()[0] for claim in told.besides] == ["list"]
