"""The tokenizer is sacreBLEU's 13a, on ordinary and on hostile texts."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from evalkit.words import continues_word, tokenize

HARD = st.lists(
    st.sampled_from(
        [*"aZ09.,-&'\n\r\t !;<>/$%\"{}`~^_[]()*+:=?@\\|#é中\x00\x1c\u2028\ud800", "&amp;", "&lt;", "<skipped>", "-\n"]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" \n\t ", ()),
        ("word", ("word",)),
        ("Hello, world!", ("Hello", ",", "world", "!")),
        ("It costs $1,234.50.", ("It", "costs", "$", "1,234.50", ".")),
        ("in 1990-91", ("in", "1990", "-", "91")),
        ("well-known", ("well-known",)),
        ("hyphen-\nated", ("hyphenated",)),
        ("fish &amp; chips", ("fish", "&", "chips")),
        ("don't", ("don't",)),
        ("中文。", ("中文。",)),
        ("a\x00b", ("a\x00b",)),
    ],
)
def test_words_are_split_as_in_mteval_13a(text: str, words: tuple[str, ...]) -> None:
    assert tokenize(text) == words


@settings(max_examples=1000)
@given(st.one_of(HARD, st.text(max_size=60)))
@example("1,234.50 -- 3.-4, 5.,6..7 &lt;b&gt; e.g. U.S.A.")
def test_every_text_is_split_as_sacrebleu_splits_it(text: str) -> None:
    assert tokenize(text) == tuple(Tokenizer13a()(text).split())


def test_a_thousand_sentences_take_no_time() -> None:
    sentence = "The old sailor, who had seen 1,000 storms, said: 'No.' and went home."
    began = time.process_time()
    for number in range(1000):
        tokenize(f"{sentence}{number}")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "longer"),
    [("s", True), ("0", True), ("é", True), ("_x", True), ("\u0301", True), (".", False), (" x", False), ("", False),
     ("'s", False), ("\n", False), ("猫", False), ("ка", True)],
)  # fmt: skip
def test_letters_digits_and_marks_make_a_word_longer(text: str, longer: bool) -> None:
    assert continues_word(text) is longer
