"""Words of a text: the mteval-v13a tokenizer, sacreBLEU's "13a" (Post 2018), so that counts agree with published ones.

It splits punctuation off words, keeps the dots and commas inside numbers, and leaves scripts without spaces
(Chinese, Thai) as one token a run. For those there are sacreBLEU's "zh" and "char", and one of our own, "13a+char",
which is 13a with the letters of such scripts as words of their own.
"""

from __future__ import annotations

import re

import regex

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SUBSTITUTIONS = (
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),  # ASCII punctuation except ' , - .
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)

_OTHERS = r"\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
UNSPACED = rf"\p{{Han}}{_OTHERS}"
"""Scripts in which one word follows another without a space, for a set of `regex`."""
_IN_A_WORD = regex.compile(rf"[[\p{{L}}\p{{N}}\p{{M}}_]--[{UNSPACED}]]", regex.VERSION1)
_IN_A_NUMBER = re.compile(
    r"[.,:/'\-\u00a0\u2007\u2009\u202f\u2010-\u2015\u2019\u2044\u2212\u066b\u066c\u00b7\uff0c\uff0e\uff0f\uff1a]\d"
    r"|[ \u00a0\u2007\u2009\u202f]?[%‰°\u066a\uff05]"
)
_HAN = regex.compile(r"[\p{Han}&&\p{L}]", regex.VERSION1)
_OTHER_LETTER = regex.compile(rf"[[{_OTHERS}]&&\p{{L}}]", regex.VERSION1)
_LETTER = regex.compile(r"\p{L}")
# By script and block, never by script extensions: a middle dot is Catalan's as well as Japan's, and marks get new
# extensions with every Unicode. By marks, not by \X, whose clusters have changed too.
_MARKS_OF_THEIRS = r"\u3000-\u30ff\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f"
_UNSPACED_SIGN = regex.compile(rf"([{UNSPACED}{_MARKS_OF_THEIRS}]\p{{M}}*)[\u200b-\u200d\u2060\ufeff]*")
_BEYOND = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u2e80-\U0003ffff]")
"""Whatever can be an unspaced sign, and more."""
# sacreBLEU's ranges as they work: it compares one character with "\u20000" and "\u2a6d6", which are two each, and so
# takes U+2001 to U+2A6D, with dashes and curly quotes, where Extension B of the ideographs was meant.
_ZH = re.compile(
    "[\u2001-\u2a6d\u2e80-\u2eff\u2f00-\u2fdf\u2ff0-\u2fff\u3000-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef"
    "\u3200-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef]"
)


def continues_word(text: str) -> bool:
    """Whether `text`, put right after a word, would make it a longer word: it begins with a letter, digit or mark.

    Not so in scripts that put no space between words.
    """
    return _IN_A_WORD.match(text) is not None


def continues_number(text: str) -> bool:
    """Whether `text`, put right after a digit, would make it another number.

    A fraction, thousands, a time, a range, a per cent: a mark and a digit, or a sign of what it counts.
    """
    return _IN_A_NUMBER.match(text) is not None


def tokenize(text: str) -> tuple[str, ...]:
    """Word tokens of `text`; empty for a text of white space only. Case is kept."""
    line = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, sign in _ENTITIES:
            line = line.replace(entity, sign)
    return _split(f" {line} ")


def tokenize_unspaced(text: str) -> tuple[str, ...]:
    """13a+char: tokens of 13a, but letters and marks of scripts without spaces are tokens of their own.

    A letter keeps the vowel signs and tones written on it. Equal to 13a on texts that have none of these scripts.
    """
    return tokenize(_UNSPACED_SIGN.sub(r" \1 ", text) if may_be_unspaced(text) else text)


def tokenize_zh(text: str) -> tuple[str, ...]:
    """SacreBLEU's zh: every Chinese character and full-width sign is a token, the rest is split as 13a splits it."""
    return _split(_ZH.sub(r" \g<0> ", text.strip()))


def characters(text: str) -> tuple[str, ...]:
    """SacreBLEU's char: every character that is no white space is a token."""
    return tuple("".join(text.split()))


def may_be_unspaced(text: str) -> bool:
    """Whether to look closer for a script without spaces: False is certain, and fast."""
    return _BEYOND.search(text) is not None


def unspaced_letters(text: str) -> tuple[str, ...]:
    """Letters of scripts without spaces, each with its marks, and the words of other scripts between them, in order.

    Empty for a text that has none of these scripts.
    """
    if not may_be_unspaced(text) or not (_HAN.search(text) or _OTHER_LETTER.search(text)):
        return ()
    return tuple(word for word in tokenize_unspaced(text) if _LETTER.search(word) or word.isdecimal())


def count_letters(text: str) -> tuple[int, int]:
    """(Chinese characters, letters of other scripts without spaces) in `text`."""
    if text.isascii() or not may_be_unspaced(text):
        return 0, 0
    return len(_HAN.findall(text)), len(_OTHER_LETTER.findall(text))


def _split(line: str) -> tuple[str, ...]:
    for pattern, replacement in _SUBSTITUTIONS:
        line = pattern.sub(replacement, line)
    return tuple(line.split())
