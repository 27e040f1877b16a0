"""Multiple choice by log-prob: the likeliest choice counts, exactly."""

from __future__ import annotations

import math

import pytest

from evalkit.metrics.quality.choices import choice_accuracy
from evalkit.records import Group, Match, Prompt


def group(answer: str | None, match: Match = "exact", **logprobs: float) -> Group:
    return Group(Prompt("p", "?", answer=answer, match=match), (), choice_logprobs=logprobs or None)


@pytest.mark.parametrize(
    ("answer", "match", "value"),
    [("Paris", "exact", 1.0), ("the paris", "exact", 1.0), ("Lyon", "exact", 0.0), ("(?i)^par", "regex", 1.0)],
)
def test_the_likeliest_choice_is_judged_as_an_answer_is(answer: str, match: Match, value: float) -> None:
    assert choice_accuracy(group(answer, match, Paris=-1.2, Lyon=-3.0, Nice=-1.3)) == value


def test_of_equally_likely_choices_each_counts_its_part() -> None:
    assert choice_accuracy(group("Paris", Paris=-1.0, Lyon=-1.0, Nice=-2.0)) == 0.5


def test_without_answer_or_choices_it_is_not_defined() -> None:
    assert math.isnan(choice_accuracy(group(None, Paris=-1.0)))
    assert math.isnan(choice_accuracy(group("Paris")))
