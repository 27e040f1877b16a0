"""Accuracy: does a completion give the prompt's right answer?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import regex
from numpy.typing import NDArray

from evalkit.errors import MetricError
from evalkit.measure import score
from evalkit.records import Group, Prompt

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


@score(name="accuracy", unit="share", better="higher", needs={"answer"}, version="1.0", cites="")
def accuracy(groups: Sequence[Group]) -> list[NDArray[np.float64]]:
    """1 for a completion that gives the prompt's right answer, else 0; the per-prompt value is the share of right ones.

    NaN where the prompt has no answer. The prompt's `match` says how to compare. "exact": the whole completion is the
    answer, after Unicode NFKC, case folding, single spaces, no marks or quotes around it and no leading English
    article. "numeric": the last number in the completion equals the answer as a number: 1,234 and -3.5 and 1e3
    are read, fractions and decimal commas are not; without a number it is wrong. "regex": the pattern is found
    anywhere in the completion. Raises `MetricError` on an answer that fits nothing, or a pattern slower than 1 s.
    """
    return [_judge(group) for group in groups]


def check_answer(prompt: Prompt) -> None:
    """Refuse an answer that no completion could be compared with. Raises `MetricError` naming the prompt."""
    _matcher(prompt)


def _judge(group: Group) -> NDArray[np.float64]:
    matches = _matcher(group.prompt)
    if matches is None:
        return np.full(len(group.completions), np.nan)
    return np.array([matches(text) for text in group.texts], dtype=np.float64)


def _matcher(prompt: Prompt) -> Callable[[str], bool] | None:
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
