"""Word tokens: the mteval-v13a tokenizer, sacreBLEU's "13a" (Post 2018), so that counts agree with published ones.

It splits punctuation off words, keeps the dots and commas inside numbers, and leaves scripts without spaces
(Chinese, Thai) as one token a run.
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

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts in which one word follows another without a space."""
_IN_A_WORD = regex.compile(rf"[[\p{{L}}\p{{N}}\p{{M}}_]--[{_UNSPACED}]]", regex.VERSION1)


def continues_word(text: str) -> bool:
    """Whether `text`, put right after a word, would make it a longer word: it begins with a letter, digit or mark.

    Not so in scripts that put no space between words.
    """
    return _IN_A_WORD.match(text) is not None


def tokenize(text: str) -> tuple[str, ...]:
    """Word tokens of `text`; empty for a text of white space only. Case is kept."""
    line = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, sign in _ENTITIES:
            line = line.replace(entity, sign)
    line = f" {line} "
    for pattern, replacement in _SUBSTITUTIONS:
        line = pattern.sub(replacement, line)
    return tuple(line.split())
