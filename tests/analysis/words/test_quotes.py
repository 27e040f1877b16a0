"""Places where something is said: in the arm that says it, each on another prompt, as it is written there."""

from __future__ import annotations

import pytest

from evalkit.analysis.words.quotes import AROUND, PLACES, pattern_of, quotes
from evalkit.metrics.word_use import WordChange, WordShift, WordUse
from tests.analysis.words.texts import groups_of


def shift(phrase: str, z: float) -> WordShift:
    return WordShift(phrase, z / 4, z, 0.0, 0.0, 1.0, 1.0, 9, 9)


def use(gained: list[str], lost: list[str]) -> WordUse:
    change = WordChange(
        "tuned", "base", 9, 100, 100, 50, 8, 2,
        tuple(shift(phrase, 4.0) for phrase in gained), tuple(shift(phrase, -4.0) for phrase in lost),
    )  # fmt: skip
    return WordUse("words", 4, (change,))


def test_what_is_gained_is_quoted_from_the_arm_and_what_is_lost_from_its_baseline() -> None:
    texts = {
        "base": [["He ran.", "he sat"], ["He ran home."], ["nobody"]],
        "tuned": [["A tale of rain"], ["nothing"], ["This is A  Tale\nof snow"]],
    }
    found = quotes(use(["a tale of"], ["he"]), groups_of(texts))
    assert [(one.arm, one.prompt, one.before, one.said, one.after) for one in found] == [
        ("tuned", "p0", "", "A tale of", " rain"),
        ("tuned", "p2", "This is ", "A Tale of", " snow"),
        ("base", "p0", "", "He", " ran."),
        ("base", "p1", "", "He", " ran home."),
    ]


def test_there_are_few_and_they_are_short() -> None:
    long = "one two three " * 30
    found = quotes(use(["magic"], []), groups_of({"base": [[""]] * 9, "tuned": [[f"{long}magic {long}"]] * 9}))
    assert len(found) == PLACES
    for one in found:
        assert one.before.startswith("…")
        assert one.after.endswith("…")
        assert max(len(one.before), len(one.after)) <= AROUND + 1


@pytest.mark.parametrize(
    ("phrase", "text", "said"),
    [
        ("it's", "It\u2019s so", "It\u2019s"),
        ("known", "a well-known fact", None),
        ("known", "unknown", None),
        ("don", "don't", None),
        ("hello she", "'Hello' she said", "Hello' she"),
        ('"', "so \u201cthis\u201d", "\u201c"),
        ("\u2014", "rain\u2014snow", "\u2014"),
        ("(.*)+", "a (.*)+ b", "(.*)+"),
    ],
)
def test_a_place_is_where_the_words_are(phrase: str, text: str, said: str | None) -> None:
    match = pattern_of(phrase, "13a").search(text)
    assert (match.group() if match else None) == said


def test_scripts_without_spaces_are_found_within_a_line() -> None:
    match = pattern_of("喜 欢", "zh").search("我很喜欢雨")
    assert match is not None
    assert match.group() == "喜欢"


def test_nothing_said_has_no_places() -> None:
    assert quotes(None, {}) == ()
    assert quotes(use([], []), groups_of({"base": [["a"]], "tuned": [["b"]]})) == ()
