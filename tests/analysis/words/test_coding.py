"""Phrases as numbers: the same for the same phrase everywhere, and none over a sign or from one text into the next."""

from __future__ import annotations

import pytest

from evalkit.analysis.words.coding import code_of, coded


def phrases(texts: list[str], n: int, over_signs: bool = False) -> list[str]:
    known = coded(texts, "13a")
    _, starts = known.phrases(n, over_signs)
    return [known.phrase_at(int(start), n) for start in starts]


def test_a_phrase_has_one_number_wherever_it_stands() -> None:
    one, other = coded(["As an AI I say"], "13a"), coded(["no", "well , as an ai"], "13a")
    assert code_of(["as", "an", "ai"]) in one.phrases(3)[0].tolist()
    assert code_of(["as", "an", "ai"]) in other.phrases(3)[0].tolist()
    assert code_of(["an", "as", "ai"]) not in one.phrases(3)[0].tolist()


def test_a_phrase_has_the_same_number_in_every_process() -> None:
    assert (
        code_of(["a", "tapestry", "of"]) == 3_854_610_692_712_857_148
    )  # by blake2b, whose numbers no seed of Python's changes


def test_no_phrase_goes_over_a_sign_or_into_the_next_text() -> None:
    assert phrases(["one, two three", "four"], 2) == ["two three"]
    assert phrases(["one, two three", "four"], 2, over_signs=True) == ["one ,", ", two", "two three"]
    assert phrases(["one, two three", "four"], 1) == ["one", ",", "two", "three", "four"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It\u2019s", ["it's"]),
        ("\u201cdelve\u201d", ['"', "delve", '"']),
        ("rain\u2014snow", ["rain", "\u2014", "snow"]),
        ("'Hello' she said", ["hello", "she", "said"]),
        ("'", ["'"]),
        ("Wait\u2026", ["wait", "\u2026"]),
        ("", []),
    ],
)
def test_quotes_and_dashes_make_no_new_words(text: str, words: list[str]) -> None:
    assert list(coded([text], "13a").words) == words


def test_where_there_is_no_space_a_word_is_what_the_tokenizer_makes_of_it() -> None:
    assert list(coded(["我喜欢雨"], "zh").words) == ["我", "喜", "欢", "雨"]
    assert len(coded(["我喜欢雨"], "zh").phrases(4)[0]) == 1


def test_nothing_has_no_phrases() -> None:
    nothing = coded([], "13a")
    assert [len(codes) for _, codes, _ in nothing.every_phrase()] == [0, 0, 0, 0]


def test_an_emoji_is_a_word_wherever_it_is_written_and_accents_have_one_spelling() -> None:
    assert coded(["Great😀 idea 😀😀!"], "13a").words == ("great", "😀", "idea", "😀", "😀", "!")
    family, thumb = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd"
    assert coded([f"a{family}b {thumb}"], "13a").words == ("a", family, "b", thumb)
    assert coded(["cafe\u0301"], "13a").words == coded(["caf\u00e9"], "13a").words
