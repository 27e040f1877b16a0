"""Checkers of valid answers: `NAME` or `NAME:ARGUMENT` in a prompt's `valid`, where a list would be long or endless.

A checker is a function of its argument that gives a `Rule`. Those of other packages are found as their metrics are
(entry points of group `evalkit.metrics`) and run in a process of their own, `timed_checker`, which is ended when it
takes too long over an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import regex

from evalkit.errors import MetricError
from evalkit.metrics.timed_checker import within_time
from evalkit.metrics.timed_regex import SECONDS
from evalkit.plumbing.did_you_mean import did_you_mean

MOST_DIGITS = 15
"""Of a number that is looked at: above, trial division takes longer than anyone waits."""
_NUMBER = regex.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)")


@dataclass(frozen=True)
class Rule:
    """What tells valid answers."""

    name_of: Callable[[str], str | None]
    """The valid answer that a text in normal form is, by one name for all of its spellings; None where it is none."""
    size: int | None = None
    """How many valid answers there are; None where that is not known or has no end."""


Make = Callable[[str], Rule]


@dataclass(frozen=True)
class Checker:
    """A registered checker."""

    name: str
    make: Make
    takes: str
    """What the argument is, in words; empty where there is none."""
    version: str

    @property
    def is_ours(self) -> bool:
        return self.make.__module__ == __name__


_checkers: dict[str, Checker] = {}


def checker(name: str, *, takes: str = "", version: str = "1") -> Callable[[Make], Make]:
    """Register a function of the argument ("" where none is taken) as a checker of valid answers.

    `takes`: what the argument is called in errors. `version`: raised when the same answer is judged otherwise. The
    function raises `ValueError` on an argument that it cannot read. Raises `MetricError` on a name that is taken.
    """

    def register(make: Make) -> Make:
        known = _checkers.get(name)
        if known is not None and known.make.__module__ != make.__module__:
            raise MetricError(f"checker {name!r} is declared by both {known.make.__module__} and {make.__module__}")
        _checkers[name] = Checker(name, make, takes, version)
        return make

    return register


@cache
def find_checker(written: str) -> Rule:
    """The rule that `NAME` or `NAME:ARGUMENT` asks for. Raises `ValueError` with what is allowed."""
    name, colon, argument = written.partition(":")
    found = _known(name)
    if found is None:
        raise ValueError(
            f"there is no checker {name!r}{did_you_mean(name, _checkers)}; known: {', '.join(sorted(_checkers))}. All "
            "valid answers one by one are a list, as in valid: [Red, Green]"
        )
    if bool(found.takes) != bool(argument) or (colon and not argument):
        no_argument = f"{name} takes no argument; leave {colon}{argument} out"
        raise ValueError(f"{name} is written {name}:{found.takes}" if found.takes else no_argument)
    rule = found.make(argument)
    return rule if found.is_ours else replace(rule, name_of=within_time(found.name, found.make.__module__, argument))


@cache
def rule_here(name: str, argument: str) -> Rule:
    """A registered checker's rule, in this process."""
    return _checkers[name].make(argument)


def version_of(written: str) -> str:
    """The version of the checker that is asked for, "" where there is none."""
    found = _known(written.partition(":")[0])
    return found.version if found else ""


def _known(name: str) -> Checker | None:
    if name not in _checkers:
        from evalkit.metrics.registry import definitions  # which imports all that may declare one

        definitions()
    return _checkers.get(name)


@checker("matches", takes="REGEX")
def _matches(argument: str) -> Rule:
    """The whole answer, whatever its case; each different normal form is another answer."""
    try:
        pattern = regex.compile(argument, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(f"{argument!r} is not a regular expression: {error}") from None

    def name_of(form: str) -> str | None:
        try:
            return form if pattern.fullmatch(form, timeout=SECONDS) else None
        except TimeoutError:
            raise MetricError(
                f"it took over {SECONDS:g} s on one completion; simplify it (repeats over alternatives, such as "
                "(a|aa)+, are the usual cause)"
            ) from None

    return Rule(name_of)


@checker("integer", takes="LOW..HIGH")
def _integer(argument: str) -> Rule:
    low, dots, high = argument.partition("..")
    first, last = _whole(low), _whole(high)
    if not dots or first is None or last is None or first > last:
        raise ValueError(f"{argument!r} is not a range of whole numbers, as in 1..100")
    return Rule(_numbers(lambda number: first <= number <= last), last - first + 1)


@checker("multiple_of", takes="NUMBER")
def _multiple_of(argument: str) -> Rule:
    of = _whole(argument)
    if of is None or of < 1:
        raise ValueError(f"{argument!r} is not a whole number, 1 or more")
    return Rule(_numbers(lambda number: number % of == 0))


@checker("prime")
def _prime(_argument: str) -> Rule:
    return Rule(_numbers(is_prime))


@checker("palindrome")
def _palindrome(_argument: str) -> Rule:
    """One word or more of three letters or more together, read alike from both ends, marks and spaces left out."""

    def name_of(form: str) -> str | None:
        letters = [sign for sign in form if sign.isalnum()]
        return form if len(letters) >= 3 and len(set(letters)) > 1 and letters == letters[::-1] else None

    return Rule(name_of)


def is_prime(number: int) -> bool:
    """By trial division, O(sqrt(number))."""
    if number < 4:
        return number > 1
    return number % 2 > 0 and all(number % d for d in range(3, math.isqrt(number) + 1, 2))


def _numbers(is_valid: Callable[[int], bool]) -> Callable[[str], str | None]:
    def name_of(form: str) -> str | None:
        number = _whole(form)
        return str(number) if number is not None and is_valid(number) else None

    return name_of


def _whole(text: str) -> int | None:
    """A whole number in digits, thousands apart by commas or not; None for anything else, and for a very long one."""
    if not _NUMBER.fullmatch(text) or not text.isascii() or len(text) > MOST_DIGITS:
        return None
    return int(text.replace(",", ""))
