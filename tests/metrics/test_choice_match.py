"""A completion gives a choice as the model's own chances count it."""

from __future__ import annotations

import pytest

from evalkit.metrics.choice_match import given, spellings


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
        *(
            (text, ["1", "2"], None)
            for text in (
                "1.5",
                "1,000",
                "1/2",
                "1%",
                "1 %",
                "1:30",
                "1-2",
                "1–2",
                "1°",
                "1\u202f000",
                "1'000",
                "1½",
                "1²",
                "１.５",
            )
        ),
        *(
            (text, ["1", "2"], "1")
            for text in ("1", "1.", "1, 2", "1: yes", "1-", "1)", "1 2", "1's", "１", "١", "१。")
        ),
        ("1.5", ["1", "1.5"], "1.5"),
        ("ＨＥＡＤＳ", ["Heads", "Tails"], "Heads"),
        ("cafe\u0301", ["caf\u00e9", "cafe"], "caf\u00e9"),
        ("caf\u00e9.", ["cafe\u0301", "cafe"], "cafe\u0301"),
        ("서울은 큽니다", ["서울", "부산"], "서울"),
        ("서울입니다.", ["서울", "부산"], "서울"),
        ("서울는", ["서울", "부산"], None),
        ("서울대학교", ["서울", "부산"], None),
        ("고양이", ["고양", "고양이"], "고양이"),
        ("파리로", ["파리", "런던"], "파리"),
        ("", ["Heads"], None),
        ("Heads", [], None),
    ],
)
def test_a_completion_gives_the_longest_choice_that_it_begins_with(
    text: str, choices: list[str], wanted: str | None
) -> None:
    assert given(text, choices) == wanted


def test_a_writing_that_is_another_choice_is_that_choice() -> None:
    assert spellings(["cafe\u0301"])["caf\u00e9"] == "cafe\u0301"
    assert spellings(["US", "us"]) == {"US": "US", "us": "us", "Us": "US"}
