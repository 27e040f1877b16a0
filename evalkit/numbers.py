"""Numbers in texts, read as the right answer is written: with a decimal point or a decimal comma.

    point   1234.5   1,234.5            as in English, Chinese, Japanese
    comma   1234,5   1.234,5   1 234,5  as in German, French, Spanish, Russian

An answer says which where it can be read in one way alone: `3,5` and `1.234,5` have a decimal comma, `3.5` and
`1,234.5` a point. `1,234` and `1.234` could have either and are read with a point, and so is a number without marks.
Spaces and apostrophes between thousands (`1 234`, `1'234`) are read where the answer has them, spaces that no line
breaks at with a decimal comma always. Digits of every script are read, and Arabic's two marks, which leave no doubt.

No number: what stands inside a word (H2O), in a fraction (1/2, 2½), a version (1.5.2), or has a power (10²).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

POWERS_AND_FRACTIONS = "²³¹⁰⁴-⁹⁺-⁼¼-¾⅐-⅟↉"
"""Signs that change a number's value: for a set of `re`. NFKC would make 102 of 10², and 21/2 of 2½."""
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_PLAIN = str.maketrans("，．＋－\N{MINUS SIGN}\N{FRACTION SLASH}\N{RIGHT SINGLE QUOTATION MARK}", ",.+--/'")
"""Full-width and typographic signs to ASCII."""
_ARABIC_DECIMAL, _ARABIC_THOUSANDS = "\N{ARABIC DECIMAL SEPARATOR}", "\N{ARABIC THOUSANDS SEPARATOR}"
_UNBROKEN = "\N{NO-BREAK SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}"
_ASKED_FOR = f" {_UNBROKEN}'"
"""Marks between thousands that are read where the answer has them."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How numbers are written."""

    decimal: str
    """The mark before the fraction: `.` or `,`."""
    thousands: str
    """The marks that may stand between thousands, one kind in a number."""


def reading_of(answer: str) -> Reading | None:
    """How the number `answer` is written; None where it is no number."""
    asked_for = "".join(mark for mark in _ASKED_FOR if mark in answer.strip().translate(_PLAIN))
    for decimal, thousands in ((".", ","), (",", f".{_UNBROKEN}")):
        reading = Reading(decimal, thousands + asked_for)
        if _number(reading).fullmatch(_plain(answer, reading).strip()):
            return reading
    return None


def last_number(text: str, reading: Reading) -> Decimal | None:
    """The last number in `text`, or None."""
    found = None
    for found in _number(reading).finditer(_plain(text, reading)):  # noqa: B007 (the last one is wanted)
        pass
    return None if found is None else _value(found, reading)


def digits_to_ascii(text: str) -> str:
    """`text` with the decimal digits of every script as 0 to 9. Raised digits are no decimal digits."""
    return text if text.isascii() else _FOREIGN_DIGIT.sub(_ascii_digit, text)


def _ascii_digit(found: re.Match[str]) -> str:
    return str(unicodedata.decimal(found.group()))


def _plain(text: str, reading: Reading) -> str:
    if text.isascii():
        return text
    plain = digits_to_ascii(text).translate(_PLAIN)
    return plain.replace(_ARABIC_DECIMAL, reading.decimal).replace(_ARABIC_THOUSANDS, reading.thousands[0])


def _value(found: re.Match[str], reading: Reading) -> Decimal:
    text = found.group()
    if found["pointed"] is None:
        for mark in reading.thousands:
            text = text.replace(mark, "")
    return Decimal(text.replace(",", "."))


@cache
def _number(reading: Reading) -> re.Pattern[str]:
    point, marks = re.escape(reading.decimal), f"[{re.escape(reading.thousands)}]"
    grouped = rf"[1-9][0-9]{{0,2}}(?P<mark>{marks})[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*"
    pointed = r"[0-9]+\.[0-9]+" if reading.decimal == "," else "(?!)"  # 3.5 can be nothing else, even so
    return re.compile(
        r"(?<![A-Za-z0-9_/])(?<![0-9][.,])"  # not inside a word, the lower half of a fraction, the rest of 1.2.3 or 3,5
        rf"[+-]?(?:(?:{grouped}|[0-9]+)(?:{point}[0-9]+)?|{point}[0-9]+|(?P<pointed>{pointed}))(?:[eE][+-]?[0-9]{{1,4}})?"
        rf"(?![0-9{POWERS_AND_FRACTIONS}]|[.,/][0-9]|[eE][+-]?[0-9])"
    )
