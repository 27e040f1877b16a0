"""NoveltyBench's numbers from its own classes, as its code counts them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.metrics.registry import parse
from evalkit.records import Completion, Given, Group, Prompt

GIVEN = Given({"generation_scores": np.array([3.0, 4.0, 3.0])}, {}, np.array([0, 1, 0]))


def group(given: Given | None) -> Group:
    return Group(Prompt("p", "x"), tuple(Completion("p", slot, "t", (), (), "stop") for slot in range(3)), given=given)


def test_distinct_counts_classes_and_utility_gives_repeats_nothing() -> None:
    assert parse("noveltybench_distinct")(group(GIVEN)) == 2
    # numpy.average([3, 4, 0], weights=0.8 ** numpy.arange(3)), as the benchmark's score.py has it.
    assert parse("noveltybench_utility")(group(GIVEN)) == pytest.approx((3 + 0.8 * 4) / (1 + 0.8 + 0.64))


@pytest.mark.parametrize("name", ["noveltybench_distinct", "noveltybench_utility"])
def test_without_classes_there_is_no_value(name: str) -> None:
    assert math.isnan(parse(name)(group(None)))
