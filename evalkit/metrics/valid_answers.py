"""Valid answers: which member of a prompt's `valid` set a completion gives, if any.

`valid` is the list of all valid answers, each with its spellings (`[King, Grey|Gray]`), or a checker that tells them,
written `NAME` or `NAME:ARGUMENT` (`evalkit.metrics.valid_checkers`): `matches:REGEX` is one.

Answers are compared in the normal form that exact right answers are compared in, `answer_match.normal_form`: without
case, marks around them and a leading article. Of a completion its first line is read: as a whole; without what leads
into an answer ("The answer is", "Answer:", "Sure, it's"); and of that what stands before a mark with a space after it,
or before a bracket, so that "Mars, the red one" gives Mars. The first of these that is valid counts. What wraps its
answer in another sentence gives none: a set of short words, such as prepositions, is in every sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from evalkit.errors import MetricError
from evalkit.metrics.answer_match import normal_form
from evalkit.metrics.valid_checkers import find_checker, version_of
from evalkit.records import Prompt

LONGEST = 500
"""Characters of a first line above which it is no answer: what checkers do takes time with length."""
_LEAD = re.compile(
    r"""\s*(?:(?:sure|certainly|of\ course|okay|ok|yes)\s*[,.!:]\s*)?
    (?:(?:(?:the|my|one|an?)\s+)?(?:(?:possible|valid|correct)\s+)?(?:answer|choice|example|guess)
          \s*(?:\s(?:is|would\ be)\b|:|=)
      |(?:a|one)\s+[\w ]{1,40}?\ (?:is|would\ be)\s*:
      |i(?:['’]d|\ would|['’]ll|\ will)?\s+(?:choose|pick|say|go\ with|answer)\b
      |(?:it|that)(?:['’]s|\ is|\ would\ be)\b
    )?\s*:?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_HEAD = re.compile(r"[.,;:!?…](?=\s)|\s[(\[–—-]|[。、，；：（]")
"""What an explanation may begin with."""


@dataclass(frozen=True)
class ValidSet:
    """The valid answers to one prompt."""

    name_of: Callable[[str], str | None]
    """The valid answer that a normal form is, by one name for all of its spellings; None where it is none."""
    size: int | None
    """How many there are; None where that is not known or has no end."""

    def given(self, text: str) -> str | None:
        """The valid answer that a completion gives, or None."""
        names = (self.name_of(form) for form in readings(text))
        return next((name for name in names if name is not None), None)


def read_valid(prompt: Prompt) -> ValidSet | None:
    """A prompt's valid answers; None where it states none. Raises `MetricError` that names the prompt and the key."""
    if isinstance(prompt.valid, str):
        try:
            rule = find_checker(prompt.valid)
        except ValueError as error:
            raise MetricError(f"prompt {prompt.id!r}: valid {prompt.valid!r}: {error}") from None
        return ValidSet(_within(rule.name_of, prompt), rule.size)
    if not prompt.valid:
        return None
    answers = listed(prompt)
    names: dict[str, str] = {}
    for answer in answers:
        for text in answer:
            form = normal_form(text)
            if not form:
                raise MetricError(f"prompt {prompt.id!r}: valid: {text!r} has nothing to compare; give a word")
            if names.setdefault(form, answer[0]) != answer[0]:
                raise MetricError(
                    f"prompt {prompt.id!r}: valid: {names[form]!r} and {answer[0]!r} are both read as {form!r}; each "
                    "answer stands there once, its spellings with | between them"
                )
    return ValidSet(names.get, len(answers))


def listed(prompt: Prompt) -> list[tuple[str, ...]]:
    """Each valid answer's spellings, the first of which names it; empty where a checker tells them, or nothing does.

    An answer that is listed twice in the same words is one.
    """
    if isinstance(prompt.valid, str):
        return []
    stated = dict.fromkeys(tuple(part.strip() for part in answer.split("|")) for answer in prompt.valid)
    return list(stated)


def identity_of(prompt: Prompt) -> tuple[str, ...]:
    """All that decides which answers are valid, for keys of caches."""
    if not isinstance(prompt.valid, str):
        return ("listed", *prompt.valid)
    return ("checker", prompt.valid, version_of(prompt.valid))


def readings(text: str) -> Iterator[str]:
    """The normal forms that a completion's answer may have, the longest first; each once, none of them empty."""
    line = next((line for line in text.splitlines() if line.strip()), "")[: LONGEST + 1].strip()
    if not line or len(line) > LONGEST:
        return
    answer = line[_match_end(line) :]
    head = _HEAD.split(answer.lstrip("*_\"'“‘ "), maxsplit=1)[0]
    yield from (form for form in dict.fromkeys(map(normal_form, (line, answer, head))) if form)


def _match_end(line: str) -> int:
    lead = _LEAD.match(line)
    return lead.end() if lead else 0


def _within(name_of: Callable[[str], str | None], prompt: Prompt) -> Callable[[str], str | None]:
    """The checker, with the prompt named in its errors."""

    def named(form: str) -> str | None:
        try:
            return name_of(form)
        except MetricError as error:
            raise MetricError(f"prompt {prompt.id!r}: valid {prompt.valid!r}: {error}") from None

    return named
