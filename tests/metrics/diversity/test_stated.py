"""What a model states of its own answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.registry import parse
from evalkit.records import Completion, Group, Item, Prompt


def group(*lists: list[float | None]) -> Group:
    stated = [(draw, probability) for draw, one in enumerate(lists) for probability in one]
    return Group(
        Prompt("p", "?"),
        tuple(
            Completion("p", slot, str(slot), (), (), "stop", item=Item(draw, probability=probability))
            for slot, (draw, probability) in enumerate(stated)
        ),
    )


@given(st.integers(2, 9), st.floats(0.01, 1))
def test_equal_chances_have_the_entropy_of_as_many(k: int, chance: float) -> None:
    assert parse("stated_entropy")(group([chance] * k)) == pytest.approx(math.log(k))
    assert parse("stated_total")(group([chance] * k)) == pytest.approx(k * chance)


def test_a_prompts_value_is_the_mean_over_its_lists_and_what_is_not_stated_counts_for_nothing() -> None:
    made = group([0.5, 0.5, None], [1.0, 0.0])
    assert parse("stated_entropy")(made) == pytest.approx(math.log(2) / 2)
    assert parse("stated_total")(made) == pytest.approx(1)


def test_without_stated_chances_both_are_undefined() -> None:
    for made in (group([None, None]), Group(Prompt("p", "?"), (Completion("p", 0, "a", (), (), "stop"),))):
        assert math.isnan(parse("stated_entropy")(made))
        assert math.isnan(parse("stated_total")(made))
    assert math.isnan(parse("stated_entropy")(group([0.0, 0.0])))
