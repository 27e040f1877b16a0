"""Which of a prompt's choices an answer gives: one rule, for the chances read off a model and for completions drawn.

An answer gives a choice when it BEGINS with it, as whole words and in one of its spellings, whatever comes after: a
full stop, an explanation, the end. So "Heads.", "heads" and " Heads, of course" all give Heads; "1" is not given by
"10", nor Cat by "Cathedral"; where two choices begin alike ("New York", "New York City"), the longer one counts. What
begins otherwise ("The coin shows heads", "**Heads**") gives none. In scripts without spaces nothing tells where a word
ends: there any answer that begins with a choice gives it.
"""

from __future__ import annotations

from collections.abc import Iterable

from evalkit.words import continues_word

SPACES = ("", " ")
"""What may stand before a choice: where a prompt ends without a space, the answer brings it."""


def spellings(choices: Iterable[str]) -> dict[str, str]:
    """Writing -> the choice it stands for: as stated, and in other cases that are no other choice's."""
    owner = {choice: choice for choice in choices}
    for choice in tuple(owner):
        for writing in (choice.lower(), choice.capitalize(), choice.upper()):
            owner.setdefault(writing, choice)
    return owner


def given(text: str, choices: Iterable[str]) -> str | None:
    """The choice that a completion gives, or None. `text` is as it was drawn, with the space before it."""
    begun = [
        (len(writing), choice)
        for writing, choice in spellings(choices).items()
        for space in SPACES
        if opens(text, space + writing)
    ]
    return max(begun, default=(0, None))[1]


def opens(text: str, beginning: str) -> bool:
    """Whether `text` begins with `beginning` as whole words."""
    return text.startswith(beginning) and not continues_word(text[len(beginning) :])
