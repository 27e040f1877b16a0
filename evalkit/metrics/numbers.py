"""Numbers in texts, read as the right answer is written: with a decimal point or a decimal comma.

    point   1234.5   1,234.5            as in English, Chinese, Japanese
    comma   1234,5   1.234,5   1 234,5  as in German, French, Spanish, Russian

An answer says which where it can be read in one way alone: `3,5` and `1.234,5` have a decimal comma, `3.5` and
`1,234.5` a point. `1,234` and `1.234` could have either and are read with a point, and so is a number without marks.
Completions are read so where a number could be either; what leaves no doubt is read whatever the answer's mark: two
kinds of marks (1.234,5 and 1,234.5), one kind several times (1.000.000), India's groups (12,34,567), and .5.
Apostrophes and spaces that no line breaks at stand between thousands (1'234), plain spaces where the answer has them.
Digits of every script are read, and Arabic's two marks, which leave no doubt.

A minus is a hyphen or dash of any kind right before the number (or its currency), after nothing that ends a word or a
number: -3, (–3), x=−3, -$3. In 2–3, 10-3 and `- 3` it is a range, a difference and a bullet: 3.

No number: what stands inside a word (H2O), in a fraction (1/2, 2½), a version (1.5.2), or has a power (10²). But an
answer that is a fraction or has a per cent sign makes both be read, as what they are worth: 1/2, ½, 50% and 0.5.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache

POWERS_AND_FRACTIONS = "²³¹⁰⁴-⁹⁺-⁼¼-¾⅐-⅟↉"
"""Signs that change a number's value: for a set of `re`. NFKC would make 102 of 10², and 21/2 of 2½."""
DASHES = "‐‑‒–—―−﹘﹣－"
"""Hyphens and dashes that people and programs write for the one on the keyboard."""
ARABIC_DECIMAL, ARABIC_THOUSANDS, ARABIC_PERCENT = "٫", "٬", "٪"
UNBROKEN = "\N{NO-BREAK SPACE}\N{FIGURE SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}"
"""Spaces that no line breaks at: between the thousands of one number, never between two."""
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_PLAIN = str.maketrans(
    {
        **dict.fromkeys(DASHES, "-"),
        "，": ",",
        "．": ".",
        "＋": "+",
        "％": "%",
        ARABIC_PERCENT: "%",
        "\N{FRACTION SLASH}": "/",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    }
)
"""Full-width and typographic signs to ASCII."""
_WHOLE_FRACTIONS = "¼-¾⅐-⅞"
"""Signs that are a fraction with both its halves."""
_CURRENCY = "$¢-¥֏؋৲৳฿₠-⃀＄￠￡￥￦"
_ENDS = rf"A-Za-zÀ-ɏͰ-ӿ0-9_)\]}}%°!{POWERS_AND_FRACTIONS}"
"""What ends a word, a number or a bracket: a dash right after it joins or subtracts."""
_PERCENT = (
    rf"[ {UNBROKEN}]?\\?%|[ -]?(?i:per ?cent|pct|prozent|pour ?cent|por ?ciento|per ?cento|procent|процент\w*)\b"
    "|パーセント"
)
_FRAC = re.compile(r"\\[dt]?frac\{([0-9]+)\}\{([0-9]+)\}")
_WESTERN = re.compile(r"[1-9][0-9]{0,2}(?:[.,][0-9]{3})+")
_INDIAN = re.compile(r"[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}")
_MARK = re.compile(r"[.,]")
_SPACE = re.compile(rf"[ '{UNBROKEN}]")
_SPACED = re.compile(rf"[0-9][ {UNBROKEN}][0-9]{{3}}(?![0-9/])")


@dataclass(frozen=True, slots=True)
class Reading:
    """How numbers are written."""

    decimal: str
    """The mark before the fraction: `.` or `,`."""
    spaced: bool = False
    """Whether a plain space may stand between thousands."""
    ratios: bool = False
    """Whether fractions are numbers, and a per cent sign divides by 100."""


def reading_of(answer: str) -> Reading | None:
    """How the number `answer` is written; None where it is no number."""
    for ratios in (False, True):
        for decimal in (".", ","):
            plain = _plain(answer, decimal, ratios).strip()
            reading = Reading(decimal, _SPACED.search(plain) is not None, ratios)
            match = _number(reading).fullmatch(plain)
            if match is not None and _value(match, reading) is not None and _is_own(match["run"] or "", decimal):
                return reading
    return None


def last_number(text: str, reading: Reading) -> Decimal | Fraction | None:
    """The last number in `text`, or None; a `Fraction` where ratios are read."""
    last = None
    for match in _number(reading).finditer(_plain(text, reading.decimal, reading.ratios)):
        value = _value(match, reading)
        last = last if value is None else value
    return last


def digits_to_ascii(text: str) -> str:
    """`text` with the decimal digits of every script as 0 to 9. Raised digits are no decimal digits."""
    return text if text.isascii() else _FOREIGN_DIGIT.sub(_ascii_digit, text)


def _ascii_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match.group()))


def _plain(text: str, decimal: str, ratios: bool) -> str:
    plain = _FRAC.sub(r" \1/\2", text) if ratios else text
    if plain.isascii():
        return plain
    plain = digits_to_ascii(plain).translate(_PLAIN)
    return plain.replace(ARABIC_DECIMAL, decimal).replace(ARABIC_THOUSANDS, "," if decimal == "." else ".")


def _is_own(run: str, decimal: str) -> bool:
    """Whether a number's marks allow `decimal` to be the mark before its fraction."""
    marks: list[str] = _MARK.findall(run)
    if len(marks) > 1 and marks[-1] in marks[:-1]:
        return marks[-1] != decimal
    return marks[-1:] == [decimal] or not (len(marks) > 1 or (marks and _SPACE.search(run)))


def _value(match: re.Match[str], reading: Reading) -> Decimal | Fraction | None:
    """What a match of `_number` is worth; None where it is no number in this reading."""
    if match["spoilt"] is not None:
        return None
    if not reading.ratios:
        return _decimal(match, reading)
    value = _ratio(match, reading)
    return value / 100 if value is not None and match["percent"] else value


def _ratio(match: re.Match[str], reading: Reading) -> Fraction | None:
    if match["run"] is not None:
        number = _decimal(match, reading)
        return None if number is None else Fraction(number)
    if match["sign_of_fraction"]:
        part = Fraction(unicodedata.numeric(match["sign_of_fraction"])).limit_denominator(10)
    elif int(match["below"]) == 0:
        return None
    else:
        part = Fraction(int(match["above"]), int(match["below"]))
    value = int(match["before"] or match["whole"] or 0) + part
    return -value if match["sign"] == "-" else value


def _decimal(match: re.Match[str], reading: Reading) -> Decimal | None:
    read = _unmarked(match["run"], reading)
    return None if read is None else Decimal(f"{match['sign'] or ''}{read}{match['exponent'] or ''}")


def _unmarked(run: str, reading: Reading) -> str | None:
    """Digits, and a point before the fraction; None where they are several numbers, or no number."""
    packed = _SPACE.sub("", run)
    last_mark = max(packed.rfind("."), packed.rfind(","))
    if last_mark < 0:
        return packed
    whole, mark, fraction = packed[:last_mark], packed[last_mark], packed[last_mark + 1 :]
    before = _MARK.findall(whole)
    if not before:
        return _with_one_mark(whole, mark, fraction, reading, packed != run)
    if packed != run:
        return None
    joined = _joined(packed if mark in before else whole)
    return joined if joined is None or mark in before else f"{joined}.{fraction}"


def _with_one_mark(whole: str, mark: str, fraction: str, reading: Reading, has_spaces: bool) -> str | None:
    if mark == reading.decimal or has_spaces or not whole:
        return f"{whole or 0}.{fraction}"
    # In 3.5 a point can be nothing else, even where the decimal mark is a comma; 3,5 may be a list.
    return _joined(f"{whole}{mark}{fraction}") or (f"{whole}.{fraction}" if mark == "." else None)


def _joined(grouped: str) -> str | None:
    """Digits without the marks between their thousands; None where those are none, or of two kinds."""
    is_number = _WESTERN.fullmatch(grouped) or _INDIAN.fullmatch(grouped)
    return _MARK.sub("", grouped) if is_number and len(set(_MARK.findall(grouped))) == 1 else None


@cache
def _number(reading: Reading) -> re.Pattern[str]:
    """Whatever looks like one number, whole, with what spoils it: so the rest of it is not looked at again."""
    spaces = f"[{' ' if reading.spaced else ''}'{UNBROKEN}]"
    grouped = rf"[1-9][0-9]{{0,2}}(?P<space>{spaces})[0-9]{{3}}(?![0-9])(?:(?P=space)[0-9]{{3}}(?![0-9]))*"
    leading = rf"(?<!\.)[{'.' if reading.decimal == '.' else '.,'}][0-9]+"
    run = rf"(?P<run>(?>(?:{grouped}|[0-9]+|{leading})(?:[.,][0-9]+)*))(?P<exponent>[eE][+-]?[0-9]{{1,4}}(?![0-9]))?"
    ratio = (
        rf"(?:(?P<before>[0-9]{{1,9}})[ {UNBROKEN}]?)?(?P<sign_of_fraction>[{_WHOLE_FRACTIONS}])"
        rf"|(?:(?P<whole>[0-9]{{1,3}})[ {UNBROKEN}])?(?P<above>[0-9]{{1,99}})/(?P<below>[0-9]{{1,99}})(?![0-9])"
    )
    return re.compile(
        r"(?<![A-Za-z0-9_/])(?<![0-9][.,])"  # not inside a word, the lower half of a fraction, the rest of 1.2.3 or 3,5
        rf"(?:(?P<sign>(?<![{_ENDS}])[+-])[{_CURRENCY}]?)?"
        + (rf"(?>{ratio}|{run})(?P<percent>{_PERCENT})?" if reading.ratios else run)
        + rf"(?P<spoilt>[{POWERS_AND_FRACTIONS}]|[.,/][0-9]|[eE][+-]?[0-9])?"
    )
