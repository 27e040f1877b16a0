"""Right answers: what a prompt's `answer` and `match` ask of a completion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal

import regex

from evalkit.errors import MetricError
from evalkit.records import Prompt

REGEX_SECONDS = 1.0
"""Longest time one completion may take a prompt's regular expression."""
_AROUND = " \t\r\n\f\v.,;:!?\"'`´‘’“”„«»()[]{}<>*_~"
"""What may stand around an answer: white space, sentence marks, quotes, brackets, Markdown. # % + - $ carry meaning."""
_ARTICLE = re.compile(r"(?:a|an|the) ")
_NUMBER = re.compile(
    r"(?<![\w/])(?<!\d[.,])"  # not inside a word, the lower half of a fraction, the rest of 1.2.3 or of 3,5
    r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:e[+-]?\d{1,4})?"
    r"(?!\d|[.,/]\d|e[+-]?\d)",
    re.ASCII | re.IGNORECASE,
)
_PLAIN = str.maketrans("０１２３４５６７８９，．＋－\N{MINUS SIGN}\N{FRACTION SLASH}", "0123456789,.+--/")
"""Full-width and typographic signs to ASCII. NFKC would also make 102 of 10 squared."""


def check_answer(prompt: Prompt) -> None:
    """Refuse an answer that no completion could be compared with. Raises `MetricError` naming the prompt."""
    matcher(prompt)


def matcher(prompt: Prompt) -> Callable[[str], bool] | None:
    """Says of a text whether it gives the right answer; None where the prompt has none. Raises `MetricError`."""
    if prompt.answer is None:
        return None
    return {"exact": _exact, "numeric": _numeric, "regex": _regex}[prompt.match](prompt.id, prompt.answer)


def _exact(prompt_id: str, answer: str) -> Callable[[str], bool]:
    wanted = _normalise(answer)
    if not wanted:
        raise MetricError(f"prompt {prompt_id!r}: answer {answer!r} has nothing to compare; give a word")
    return lambda text: _normalise(text) == wanted


def _numeric(prompt_id: str, answer: str) -> Callable[[str], bool]:
    plain = answer.translate(_PLAIN).strip()
    found = _NUMBER.fullmatch(plain)
    if found is None:
        raise MetricError(f"prompt {prompt_id!r}: answer {answer!r} is not a number like 3, -3.5, 1,234 or 1e3")
    wanted = _value(plain)

    def matches(text: str) -> bool:
        numbers = _NUMBER.findall(text.translate(_PLAIN))
        return bool(numbers) and _value(numbers[-1]) == wanted

    return matches


def _regex(prompt_id: str, answer: str) -> Callable[[str], bool]:
    try:
        pattern = regex.compile(answer)
    except regex.error as error:
        raise MetricError(f"prompt {prompt_id!r}: answer {answer!r} is not a regular expression: {error}") from None

    def matches(text: str) -> bool:
        try:
            return pattern.search(text, timeout=REGEX_SECONDS) is not None
        except TimeoutError:
            raise MetricError(
                f"prompt {prompt_id!r}: the regular expression {answer!r} took over {REGEX_SECONDS:g} s on one "
                "completion; simplify it (repeats over alternatives, such as (a|aa)+, are the usual cause)"
            ) from None

    return matches


def _normalise(text: str) -> str:
    bare = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_AROUND)
    article = _ARTICLE.match(bare)
    return bare[article.end() :] if article else bare


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", ""))
