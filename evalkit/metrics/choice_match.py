"""Which of a prompt's choices an answer gives: one rule, for the chances read off a model and for completions drawn.

An answer gives a choice when it BEGINS with it, as whole words and in one of its spellings, whatever comes after: a
full stop, an explanation, the end. So "Heads.", "heads" and " Heads, of course" all give Heads; "1" is not given by
"10", nor by 1.5, 1,000, 1/2, 1:30, 1-2, 1% or 1°, which are other numbers, nor Cat by "Cathedral"; where two choices
begin alike ("New York", "New York City"), the longer one counts. What begins otherwise ("The coin shows heads",
"**Heads**") gives none. In scripts without spaces nothing tells where a word ends: there any answer that begins with a
choice gives it. Korean puts particles right behind words: 서울 is given by 서울은 and the others of `PARTICLES`, as
its last sound asks, unless that is a choice too.

Of completions, full-width letters, digits of any script and composed and decomposed letters are the same. Chances can
only be read of writings that are listed, `spellings`: there each choice stands as stated and composed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from evalkit.plumbing.tokenize_13a import continues_number, continues_word

SPACES = ("", " ")
"""What may stand before a choice: where a prompt ends without a space, the answer brings it."""
_ANY = ("의", "에", "에서", "에게", "도", "만", "까지", "부터", "입니다", "이다", "이에요", "이고", "이며")
PARTICLES = {True: (*_ANY, "은", "이", "을", "과", "으로"), False: (*_ANY, "는", "가", "를", "와", "로", "다", "예요")}
"""What Korean puts behind a word that ends with a consonant, and behind one that ends with a vowel."""
_SYLLABLES = ("가", "힣")
_FINALS = 28
"""Syllables of Unicode that differ in their last consonant alone; the first has none."""


def spellings(choices: Iterable[str]) -> dict[str, str]:
    """Writing -> the choice it stands for: as stated, composed, in other cases that are no other choice's.

    Korean ones also with a particle.
    """
    owner = {choice: choice for choice in choices}
    for choice in tuple(owner):
        for form in (choice, unicodedata.normalize("NFC", choice)):
            for writing in (form, form.lower(), form.capitalize(), form.upper()):
                owner.setdefault(writing, choice)
    for writing, choice in tuple(owner.items()):
        if _SYLLABLES[0] <= writing[-1:] <= _SYLLABLES[1]:
            ends_with_consonant = (ord(writing[-1]) - ord(_SYLLABLES[0])) % _FINALS != 0
            for particle in PARTICLES[ends_with_consonant]:
                owner.setdefault(writing + particle, choice)
    return owner


def given(text: str, choices: Iterable[str]) -> str | None:
    """The choice that a completion gives, or None. `text` is as it was drawn, with the space before it."""
    writings = spellings(choices)
    choice = _longest_prefix(text, writings)
    if choice is not None or (text.isascii() and all(map(str.isascii, writings))):
        return choice
    forms: dict[str, str] = {}
    for writing, written in writings.items():
        forms.setdefault(one_form(writing), written)
    return _longest_prefix(one_form(text), forms)


def _longest_prefix(text: str, writings: Mapping[str, str]) -> str | None:
    """The choice whose writing is the longest that `text` begins with."""
    prefixes = [
        (len(writing), choice)
        for writing, choice in writings.items()
        for space in SPACES
        if opens(text, space + writing)
    ]  # fmt: skip
    return max(prefixes, default=(0, None))[1]


def one_form(text: str) -> str:
    """`text` composed, with full-width signs, and digits of every script, as ASCII has them; raised ones stay."""
    return "".join(map(_plain_sign, unicodedata.normalize("NFC", text)))


def _plain_sign(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return unicodedata.normalize("NFKC", sign) if unicodedata.decomposition(sign).startswith("<wide>") else sign


def opens(text: str, beginning: str) -> bool:
    """Whether `text` begins with `beginning` as whole words, and whole numbers."""
    after = text[len(beginning) :]
    goes_on = continues_word(after) or (beginning[-1:].isdecimal() and continues_number(after))
    return text.startswith(beginning) and not goes_on
