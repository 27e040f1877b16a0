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

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import regex

_FOREIGN_DIGIT = regex.compile(r"[\p{Nd}--[0-9]]", regex.VERSION1)
_PLAIN = str.maketrans("，．＋－\N{MINUS SIGN}\N{FRACTION SLASH}\N{RIGHT SINGLE QUOTATION MARK}", ",.+--/'")
"""Full-width and typographic signs to ASCII. NFKC would also make 102 of 10 squared."""
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


def _ascii_digit(found: Any) -> str:
    return str(unicodedata.decimal(found.group(), found.group()))


def _plain(text: str, reading: Reading) -> str:
    if text.isascii():
        return text
    plain = digits_to_ascii(text).translate(_PLAIN)
    return plain.replace(_ARABIC_DECIMAL, reading.decimal).replace(_ARABIC_THOUSANDS, reading.thousands[0])


def _value(found: Any, reading: Reading) -> Decimal:
    whole = found["whole"] or "0"
    for mark in reading.thousands:
        whole = whole.replace(mark, "")
    return Decimal(f"{found['sign']}{whole}.{found['part'] or '0'}{found['exponent'] or ''}")


@cache
def _number(reading: Reading) -> Any:
    """The pattern of a number; `regex` lets alternatives share the names of their groups."""
    point, marks = regex.escape(reading.decimal), f"[{regex.escape(reading.thousands)}]"
    grouped = rf"[1-9][0-9]{{0,2}}(?P<mark>{marks})[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*"
    forms = [
        rf"(?P<whole>{grouped}|[0-9]+)(?:{point}(?P<part>[0-9]+))?",
        rf"{point}(?P<part>[0-9]+)",
    ]
    if reading.decimal == ",":
        forms.append(r"(?P<whole>[0-9]+)\.(?P<part>[0-9]+)")  # 3.5 can be nothing else
    return regex.compile(
        r"(?<![A-Za-z0-9_/])(?<![0-9][.,])"  # not inside a word, the lower half of a fraction, the rest of 1.2.3 or 3,5
        rf"(?P<sign>[+-]?)(?:{'|'.join(forms)})(?P<exponent>[eE][+-]?[0-9]{{1,4}})?"
        r"(?![0-9]|[.,/][0-9]|[eE][+-]?[0-9]|\p{No})"
    )
