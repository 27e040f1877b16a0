"""A completion gives a choice as the model's own chances count it."""

from __future__ import annotations

import pytest

from evalkit.choices import given, spellings


@pytest.mark.parametrize(
    ("text", "choices", "wanted"),
    [
        ("Heads", ["Heads", "Tails"], "Heads"),
        ("heads", ["Heads", "Tails"], "Heads"),
        (" HEADS, of course", ["Heads", "Tails"], "Heads"),
        ("Tails.", ["heads", "tails"], "tails"),
        ("10", ["1", "2"], None),
        ("10", ["1", "10"], "10"),
        ("1.", ["1", "10"], "1"),
        ("1_000", ["1"], None),
        ("Cathedral", ["Cat", "Dog"], None),
        ("Cat's", ["Cat", "Dog"], "Cat"),
        ("New York City", ["New York", "New York City"], "New York City"),
        ("new york", ["New York", "New York City"], "New York"),
        ("New Yorker", ["New", "New York"], "New"),
        ("rome", ["rome", "Rome"], "rome"),
        ("Rome", ["rome", "Rome"], "Rome"),
        ("The coin shows heads", ["Heads", "Tails"], None),
        ("**Heads**", ["Heads", "Tails"], None),
        ("\nHeads", ["Heads", "Tails"], None),
        ("  Heads", ["Heads", "Tails"], None),
        ("是的。", ["是", "否"], "是"),
        ("", ["Heads"], None),
        ("Heads", [], None),
    ],
)
def test_a_completion_gives_the_longest_choice_that_it_begins_with(
    text: str, choices: list[str], wanted: str | None
) -> None:
    assert given(text, choices) == wanted


def test_a_writing_that_is_another_choice_is_that_choice() -> None:
    assert spellings(["US", "us"]) == {"US": "US", "us": "us", "Us": "US"}
