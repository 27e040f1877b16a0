"""Numbers are read as the answer writes them, in every script's digits."""

from __future__ import annotations

import math
import re
import sys
import time
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.numbers import POWERS_AND_FRACTIONS, Reading, digits_to_ascii, last_number, reading_of

EVERY_SIGN = [chr(code) for code in range(sys.maxunicode + 1)]
POINT, COMMA = reading_of("0.5"), reading_of("0,5")
NUMBERS = st.decimals(-(10**9), 10**9, places=2)


@pytest.mark.parametrize(
    ("answer", "decimal"),
    [
        ("3", "."),
        ("3.5", "."),
        ("1,234", "."),
        ("1.234", "."),
        ("1,234.5", "."),
        ("1'234.5", "."),
        ("1 234", "."),
        (".5", "."),
        ("٣٫٥", "."),
        ("3,5", ","),
        ("0,123", ","),
        ("1234,567", ","),
        ("1.234,5", ","),
        ("1.234.567", ","),
        ("1 234,5", ","),
        (",5", ","),
        ("12,34,567", "."),
        ("12,34,567.5", "."),
        ("1\u202f234", "."),
        ("1\u202f234,5", ","),
        ("1,000,000", "."),
        ("50%", "."),
        ("12,5 %", ","),
        ("1/2", "."),
        ("1/0", None),
        ("1/2/3", None),
        ("1,2,3", None),
        ("1,5,300", None),
        ("1,234.5,6", None),
        ("10²", None),
        ("three", None),
        ("", None),
    ],
)
def test_an_answer_says_which_mark_is_decimal(answer: str, decimal: str | None) -> None:
    reading = reading_of(answer)
    assert (reading and reading.decimal) == decimal


@given(NUMBERS)
def test_a_number_is_read_back_however_it_is_written(number: Decimal) -> None:
    english = f"{number:,}"
    european = english.translate(str.maketrans(",.", ".,"))
    spaced = european.replace(".", "\N{NARROW NO-BREAK SPACE}")
    arabic = english.translate(str.maketrans("0123456789,.", "٠١٢٣٤٥٦٧٨٩٬٫"))
    assert POINT
    assert COMMA
    for text, readings in ((english, [POINT]), (european, [COMMA]), (spaced, [COMMA]), (arabic, [POINT, COMMA])):
        for reading in readings:
            assert last_number(f"x = {text}.", reading) == number
    plain = str(number)
    assert last_number(plain, POINT) == last_number(plain.replace(".", ","), COMMA) == number
    assert last_number(plain, COMMA) == number, "two digits after a point are no thousands"


@given(
    st.text("0123456789.,' e+-–/²½٣٫%$ab", max_size=20),
    st.sampled_from([POINT, COMMA, reading_of("1 234,5"), reading_of("50%"), reading_of("0,5%")]),
)
def test_every_text_is_read_without_an_error(text: str, reading: Reading) -> None:
    found = last_number(text, reading)
    assert found is None or math.isfinite(Decimal(found) if isinstance(found, Decimal) else found)


@given(NUMBERS)
def test_two_kinds_of_marks_are_one_number_whatever_the_answer_s_mark(number: Decimal) -> None:
    english = f"{number:,}"
    for reading in (POINT, COMMA):
        assert reading
        for text in (english, english.translate(str.maketrans(",.", ".,"))):
            if abs(number) >= 1000:
                assert last_number(text, reading) == number


def test_spoilt_numbers_are_passed_in_linear_time() -> None:
    began = time.monotonic()
    for answer in ("1", "1,5", "1 234,5", "50%", "1/2"):
        reading = reading_of(answer)
        assert reading
        for text in ("1\u202f" + "111\u202f" * 50_000 + "111²", "9" * 100_000 + "²"):
            assert last_number(text, reading) is None
        last_number("1" + " 111" * 50_000 + "/1", reading)
        last_number("1 1/2" * 30_000 + "–" * 30_000 + "½" * 30_000, reading)
    assert time.monotonic() - began < 5


def test_the_digits_of_every_script_are_read_and_no_other_sign() -> None:
    for sign in EVERY_SIGN:
        wanted = str(unicodedata.decimal(sign)) if unicodedata.category(sign) == "Nd" else sign
        assert digits_to_ascii(sign) == wanted


def test_powers_and_fractions_are_all_that_unicode_has() -> None:
    of_value = {
        sign
        for sign in EVERY_SIGN
        if unicodedata.decomposition(sign).startswith(("<super>", "<fraction>"))
        and re.search(r"[\d⁄+−=]", unicodedata.normalize("NFKC", sign))
    }
    assert {sign for sign in EVERY_SIGN if re.match(f"[{POWERS_AND_FRACTIONS}]", sign)} == of_value
