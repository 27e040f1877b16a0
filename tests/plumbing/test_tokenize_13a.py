"""Tokenizers split as sacreBLEU's of the same names, on ordinary and on hostile texts; ours keeps to its laws."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_char import TokenizerChar
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from evalkit.plumbing.tokenize_13a import (
    _BEYOND,
    _UNSPACED_SIGN,
    characters,
    continues_number,
    continues_word,
    tokenize,
    tokenize_unspaced,
    tokenize_zh,
    unspaced_letters,
)

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


@pytest.mark.parametrize(
    ("text", "other"),
    [(".5", True), (",000", True), ("–2", True), ("%", True), (" %", True), (".", False), (". 5", False), ("", False),
     (" 2", False), ("\u202f000", True), ("-a", False)],
)  # fmt: skip
def test_marks_before_digits_make_another_number(text: str, other: bool) -> None:
    assert continues_number(text) is other


UNSPACED_TEXT = st.lists(st.sampled_from("的一是了猫すもメンーกี่เขาລາວខ្ញុမြန်မာ。、「」！？"), max_size=30).map("".join)
MIXED = st.one_of(HARD, st.text(max_size=60), st.lists(st.one_of(UNSPACED_TEXT, HARD), max_size=4).map(" ".join))


@settings(max_examples=1000)
@given(MIXED)
@example("don’t — “no”: 中文，ＡＢ。")
def test_zh_is_split_as_sacrebleu_splits_it(text: str) -> None:
    assert tokenize_zh(text) == tuple(TokenizerZh()(text).split())


def test_zh_takes_the_very_characters_that_sacrebleu_takes() -> None:
    peer, space = TokenizerZh(), re.compile(r"\s")
    for code in (*range(0x10000), *range(0x10000, 0x110000, 101)):
        if peer._is_chinese_char(chr(code)) and not space.match(chr(code)):
            assert tokenize_zh(f"a{chr(code)}b") == ("a", chr(code), "b")
        elif code > 0x7F and not space.match(chr(code)):
            assert tokenize_zh(f"a{chr(code)}b") == (f"a{chr(code)}b",)


@given(MIXED)
def test_char_is_split_as_sacrebleu_splits_it(text: str) -> None:
    assert characters(text) == tuple(TokenizerChar()(text).split())


@settings(max_examples=500)
@given(
    st.one_of(HARD.map(lambda text: text.replace("中", "ж")), st.text(st.characters(max_codepoint=0xDFF), max_size=60))
)
@example("Die Größe, naïve “quotes” — l·l Ελλάδα हिन्दी 한국어 العربية 3,5")
def test_texts_of_spaced_scripts_are_split_as_13a_splits_them(text: str) -> None:
    assert tokenize_unspaced(text) == tokenize(text)


@given(UNSPACED_TEXT)
def test_the_words_of_unspaced_text_are_all_of_it(text: str) -> None:
    assert "".join(tokenize_unspaced(text)) == "".join(text.split())
    assert "".join(characters(text)) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我喜欢，你。", ("我", "喜", "欢", "，", "你", "。")),
        ("用 Python 3.11 写", ("用", "Python", "3.11", "写")),
        ("iPhone手机", ("iPhone", "手", "机")),
        ("すもも、メロン", ("す", "も", "も", "、", "メ", "ロ", "ン")),
        ("กี่ตัว", ("กี่", "ตั", "ว")),  # a consonant keeps its vowel sign and tone
        ("ខ្ញុំ\u200bទៅ", ("ខ្", "ញុំ", "ទៅ")),  # an invisible break is no sign
        ("မြန်မာ။", ("မြ", "န်", "မာ", "။")),
        ("「はい」", ("「", "は", "い", "」")),
        ("don’t, 3.5", ("don’t", ",", "3.5")),
        ("𠮷野家", ("𠮷", "野", "家")),
    ],
)
def test_letters_of_unspaced_scripts_are_words(text: str, words: tuple[str, ...]) -> None:
    assert tokenize_unspaced(text) == words


def test_a_look_for_unspaced_signs_overlooks_none() -> None:
    for code in range(0x110000):
        if _UNSPACED_SIGN.match(chr(code)):
            assert _BEYOND.match(chr(code)), hex(code)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("红色的。", ("红", "色", "的")),
        ("Red.", ()),
        ("Ελλάδα", ()),
        ("T恤3件", ("T", "恤", "3", "件")),
        ("한국어", ()),
        ("", ()),
    ],
)
def test_letters_of_short_answers(text: str, letters: tuple[str, ...]) -> None:
    assert unspaced_letters(text) == letters
