"""Right answers: what a prompt's `answer` and `match` ask of a completion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import regex

from evalkit.errors import MetricError
from evalkit.metrics.numbers import (
    ARABIC_DECIMAL,
    ARABIC_PERCENT,
    ARABIC_THOUSANDS,
    DASHES,
    POWERS_AND_FRACTIONS,
    digits_to_ascii,
    last_number,
    reading_of,
)
from evalkit.metrics.timed_regex import is_found
from evalkit.plumbing.tokenize_13a import UNSPACED, may_be_unspaced
from evalkit.records import Prompt

_AROUND = (
    " \t\r\n\f\v.,;:!?\"'`´‘’“”„«»‹›()[]{}<>*_~"
    "¿¡。、・「」『』【】〔〕《》〈〉"  # Spanish; Chinese and Japanese: those that NFKC does not make ASCII
    "،؛؟۔।॥።។៕၊။"  # Arabic, Urdu, Hindi, Amharic, Khmer and Burmese stops and commas
)
"""What may stand around an answer: white space, sentence marks, quotes, brackets, Markdown. # % + - $ carry meaning."""
_ARTICLE = re.compile(r"(?:a|an|the) ")
_KEPT = re.compile(rf"[{POWERS_AND_FRACTIONS}]+")
_LOOSE_SPACE = regex.compile(rf"(?<=[{UNSPACED}])\s+|\s+(?=[{UNSPACED}])")
"""Beside a letter of a script without spaces, a space is a matter of taste."""
_INVISIBLE = re.compile(r"[\u00ad\u200b\u2060\ufeff\u200e\u200f]+")
"""Breaks, joins and directions of writing that no reader sees."""
_SPACE_BEFORE_PERCENT = re.compile(r"(?<=[0-9]) (?=[%‰])")
_TYPED = str.maketrans(
    {
        **dict.fromkeys(DASHES, "-"),
        **dict.fromkeys("‘’‚‛′´ʼʹ＇", "'"),
        **dict.fromkeys("“”„‟«»″＂", '"'),
        ARABIC_DECIMAL: ".",
        ARABIC_THOUSANDS: ",",
        ARABIC_PERCENT: "%",
    }
)
"""Signs as a keyboard has them."""


def check_answer(prompt: Prompt) -> None:
    """Refuse an answer that no completion could be compared with. Raises `MetricError` naming the prompt."""
    matcher(prompt)


def matcher(prompt: Prompt) -> Callable[[str], bool] | None:
    """Says of a text whether it gives the right answer; None where the prompt has none. Raises `MetricError`."""
    if prompt.answer is None:
        return None
    return {"exact": _exact, "numeric": _numeric, "regex": _regex}[prompt.match](prompt.id, prompt.answer)


def _exact(prompt_id: str, answer: str) -> Callable[[str], bool]:
    wanted = normal_form(answer)
    if not wanted:
        raise MetricError(f"prompt {prompt_id!r}: answer {answer!r} has nothing to compare; give a word")
    return lambda text: normal_form(text) == wanted


def _numeric(prompt_id: str, answer: str) -> Callable[[str], bool]:
    reading = reading_of(answer)
    if reading is None:
        raise MetricError(
            f"prompt {prompt_id!r}: answer {answer!r} is not a number like 3, -3.5, 1,234, 1e3, 3,5, 1.234,5, 50% or "
            "1/2; another answer takes `match: exact` or `match: regex`"
        )
    wanted = last_number(answer, reading)
    return lambda text: last_number(text, reading) == wanted


def _regex(prompt_id: str, answer: str) -> Callable[[str], bool]:
    try:
        pattern = regex.compile(answer)
    except regex.error as error:
        raise MetricError(f"prompt {prompt_id!r}: answer {answer!r} is not a regular expression: {error}") from None

    return lambda text: is_found(pattern, text, f"prompt {prompt_id!r}: the regular expression {answer!r}")


def normal_form(text: str) -> str:
    """What answers are compared in, whole texts or a set's.

    Unicode NFKC (but 10² is not 102), case folded, digits, dashes, quotes and per cent signs of every script as ASCII
    has them, single spaces (none beside letters of scripts without spaces), no marks or quotes around it, no leading
    English article.
    """
    known = text if text.isascii() else _one_form(text)
    bare = _SPACE_BEFORE_PERCENT.sub("", " ".join(known.casefold().split())).strip(_AROUND)
    article = _ARTICLE.match(bare)
    return bare[article.end() :] if article else bare


def _one_form(text: str) -> str:
    """NFKC but for powers and fractions; digits, dashes and quotes as ASCII has them; no space that means nothing."""
    seen = _INVISIBLE.sub("", text).translate(_TYPED)
    kept = [match.group() for match in _KEPT.finditer(seen)]
    parts = [unicodedata.normalize("NFKC", part) for part in _KEPT.split(seen)]
    whole = "".join(part + sign for part, sign in zip(parts, [*kept, ""], strict=True))
    plain = digits_to_ascii(whole)
    return _LOOSE_SPACE.sub("", plain) if may_be_unspaced(plain) else plain
