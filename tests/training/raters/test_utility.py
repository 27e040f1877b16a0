"""Stated utilities: each is what it says, weights add up, and what cannot be used is one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.metrics import timed_regex
from evalkit.records import Prompt
from evalkit.training.raters.utility import open_utility

PLAIN = Prompt("plain", "Say something.")
SUM = Prompt("sum", "What is 3 + 4?", answer="7", match="numeric")
WORDS, HAS_B = open_utility({"words": 1}), open_utility({"pattern:b": 1})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("words", "Hello, world!", 4),
        ("words", "", 0),
        ("distinct", "the cat and the dog", 0.8),
        ("distinct", "one two", 1),
        ("distinct", "", 0),
        (r"pattern:\bsea\b", "by the sea.", 1),
        (r"pattern:\bsea\b", "seaside", 0),
        ("pattern:a:b", "a:b", 1),
    ],
)
def test_a_utility_is_what_it_says(name: str, text: str, value: float) -> None:
    assert open_utility({name: 1})(PLAIN, text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("text", "value"), [("3 + 4 = 7", 1), ("8", 0), ("", 0)])
def test_accuracy_is_that_of_the_metric(text: str, value: float) -> None:
    assert open_utility({"accuracy": 1})(SUM, text) == value


@given(st.floats(-100, 100), st.floats(-100, 100), st.text("ab .", max_size=20))
def test_utilities_add_up_by_weight(first: float, second: float, text: str) -> None:
    apart = first * WORDS(PLAIN, text) + second * HAS_B(PLAIN, text)
    assert open_utility({"words": first, "pattern:b": second})(PLAIN, text) == pytest.approx(apart, abs=1e-9)


def test_white_space_around_a_completion_does_not_count() -> None:
    starts = open_utility({"pattern:^sea$": 1})
    assert starts(PLAIN, " sea\n") == starts(PLAIN, "sea") == 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "a utility needs a name and its weight, as in {words: -0.05}; known: accuracy, distinct, "),
        ({"wrods": 1}, "there is no utility 'wrods' (did you mean 'words'?); known: accuracy, distinct, "),
        ({"zzz:3": 1}, "there is no utility 'zzz'; known: "),
        ({"words:3": 1}, "utility 'words:3': 'words' takes nothing after its name"),
        ({"distinct:3": 1}, "utility 'distinct:3': 'distinct' takes nothing"),
        ({"accuracy:x": 1}, "utility 'accuracy:x': 'accuracy' takes nothing"),
        ({"pattern": 1}, "utility 'pattern' needs a regular expression after a colon"),
        ({"pattern:(": 1}, "utility 'pattern:(': not a regular expression: missing )"),
        ({"words": float("nan")}, "utility 'words' has weight nan; it must be a finite number"),
    ],
)
def test_what_cannot_be_used_is_named_when_it_is_opened(weights: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        open_utility(weights)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_accuracy_names_the_prompt_that_has_no_answer() -> None:
    with pytest.raises(InputError, match="utility 'accuracy' needs prompts with an `answer`; prompt 'plain' has none"):
        open_utility({"accuracy": 1})(PLAIN, "7")


def test_a_pattern_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_regex, "SECONDS", 0.05)
    with pytest.raises(
        InputError, match=r"prompt 'plain': utility 'pattern:.* took over 0\.05 s on one completion; simplify it"
    ):
        open_utility({"pattern:(a|aa)+$": 1})(PLAIN, "a" * 60 + "b")
