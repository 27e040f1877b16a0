"""A number is its text, and null is nothing, wherever people write texts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from evalkit.plumbing.as_text import as_text, texts_given


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (-2.0, "-2"),
        (0.25, "0.25"),
        (10**400, "1" + "0" * 400),
        ("007", "007"),
        ([1, "a", 2.5], ["1", "a", "2.5"]),
        ((), ()),
    ],
)
def test_a_number_is_its_text_a_whole_one_without_a_point(value: Any, text: Any) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("value", [True, None, math.inf, {"a": 1}])
def test_what_is_neither_text_nor_number_stays_for_whoever_refuses_it(value: Any) -> None:
    assert as_text(value) is value


def test_null_is_as_if_the_key_was_not_there() -> None:
    given = {"tags": None, "class": 1, "scores": {"stars": 2}, "completion": 5}
    assert texts_given(given, ("scores", "completion")) == {"class": "1", "scores": {"stars": 2}, "completion": 5}
