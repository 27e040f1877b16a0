"""Accuracy: what counts as the right answer, and that no answer of a user can hang or fool a run."""

import math
import time

import numpy as np
import pytest

from evalkit.errors import MetricError
from evalkit.metrics.answer_match import check_answer
from evalkit.metrics.quality.accuracy import accuracy
from evalkit.records import Completion, Group, Match, Prompt


def judge(answer: str | None, match: Match, *texts: str) -> list[float]:
    completions = tuple(Completion("p", slot, text, (), (), "stop") for slot, text in enumerate(texts))
    [values] = accuracy([Group(Prompt("p", "?", answer=answer, match=match), completions)])
    assert values.dtype == np.float64
    return list(values)


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        pytest.param("Paris", "Paris", 1, id="the same"),
        pytest.param("Paris", "  paris.\n", 1, id="case, white space and a full stop"),
        pytest.param("Paris", "**“Paris”**!", 1, id="quotes and Markdown"),
        pytest.param("Nile", "The Nile", 1, id="a leading article"),
        pytest.param("the Nile", "nile", 1, id="an article in the answer"),
        pytest.param("A", "a", 1, id="an answer that is an article"),
        pytest.param("New York", "new \n york", 1, id="any white space"),
        pytest.param("Straße", "STRASSE", 1, id="German sharp s"),
        pytest.param("caf\u00e9", "cafe\u0301", 1, id="composed and decomposed"),
        pytest.param("ABC", "ＡＢＣ", 1, id="full width"),
        pytest.param("Paris", "Paris is the capital", 0, id="more than the answer"),
        pytest.param("Paris", "", 0, id="empty"),
        pytest.param("5", "-5", 0, id="a minus sign is no punctuation"),
        pytest.param("C", "C#", 0, id="nor is a sharp"),
        pytest.param("50", "50%", 0, id="nor is a per cent"),
        pytest.param("theatre", "atre", 0, id="an article only as a word"),
        pytest.param("北京", "「 北 京 」。", 1, id="Chinese marks, and spaces between characters"),
        pytest.param("iPhone手机", "iPhone 手机", 1, id="a space between scripts"),
        pytest.param("กรุงเทพ", "กรุง\u200bเทพ", 1, id="an invisible break"),
        pytest.param("北京", "北京市", 0, id="more than the answer, in Chinese"),
        pytest.param("دمشق", "دمشق؟", 1, id="Arabic question mark"),
        pytest.param("दिल्ली", "दिल्ली।", 1, id="Hindi full stop"),
        pytest.param("3", "٣", 1, id="Arabic-Indic digits"),
        pytest.param("１２", "12", 1, id="full width digits"),
        pytest.param("102", "10²", 0, id="102 is not 10 squared"),
        pytest.param("10³", "10²", 0, id="nor 10 cubed"),
        pytest.param("H2O", "H₂O", 1, id="lowered digits are a way of writing"),
        pytest.param("21st", "21ˢᵗ", 1, id="and so are raised letters"),
        pytest.param("10²", "10²", 1, id="but 10 squared is"),
        pytest.param("21/2", "2½", 0, id="two and a half is not 21/2"),
        pytest.param("Paris", "\x00\ud800", 0, id="NUL and a lone surrogate"),
        pytest.param("don't", "don’t", 1, id="a typographic apostrophe"),
        pytest.param("don’t", "donʼt", 1, id="and another"),
        pytest.param("say 'yes' now", "say ‘yes’ now", 1, id="quotes inside"),
        pytest.param('the "x" key', "the „x“ key", 1, id="double ones"),
        pytest.param("rock-n-roll", "rock\u2011n\u2011roll", 1, id="a hyphen that does not break"),
        pytest.param("2-3", "2–3", 1, id="a dash for a hyphen"),
        pytest.param("cooperate", "co\u00adoperate", 1, id="a soft hyphen is not seen"),
        pytest.param("-5", "−5", 1, id="a typographic minus"),
        pytest.param("5", "−5", 0, id="which is no punctuation"),
        pytest.param("50%", "50 %", 1, id="a space before a per cent sign"),
        pytest.param("50%", "50\u202f%", 1, id="of any width"),
        pytest.param("50%", "٥٠٪", 1, id="an Arabic per cent sign"),
        pytest.param("3.5", "٣٫٥", 1, id="an Arabic decimal mark"),
        pytest.param("1,234", "١٬٢٣٤", 1, id="an Arabic mark between thousands"),
        pytest.param("5 ft", "5\u2009ft", 1, id="a thin space"),
    ],
)
def test_exact(answer: str, text: str, right: int) -> None:
    assert judge(answer, "exact", text) == [right]


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        pytest.param("4", "2 + 2 = 4", 1, id="the last number"),
        pytest.param("4", "The answer is 4.", 1, id="before a full stop"),
        pytest.param("4", "4, then 5", 0, id="not the first number"),
        pytest.param("1234", "It is 1,234.", 1, id="thousands in the text"),
        pytest.param("1,234,567.50", "1234567.5", 1, id="thousands in the answer"),
        pytest.param("-3.5", "x = -3.5", 1, id="negative"),
        pytest.param("-3.5", "x = \u22123.5", 1, id="typographic minus"),
        pytest.param("3", "5-3", 1, id="a difference is not a sign"),
        pytest.param("1000", "about 1e3", 1, id="exponent"),
        pytest.param("0.001", "1E-3", 1, id="negative exponent"),
        pytest.param(".5", "0.50", 1, id="no digit before the point"),
        pytest.param("0.1", "0.1000000000000000055", 0, id="compared exactly, not as floats"),
        pytest.param("5", "$5", 1, id="currency"),
        pytest.param("5", "5kg", 1, id="a unit"),
        pytest.param("5", "５", 1, id="full width digits"),
        pytest.param("5", "是5。", 1, id="between signs without spaces"),
        pytest.param("2", "1/2", 0, id="the lower half of a fraction is no answer"),
        pytest.param("1", "1/2", 0, id="nor the upper"),
        pytest.param("2", "½", 0, id="nor of a single-sign fraction"),
        pytest.param("102", "10²", 0, id="a square is no digit"),
        pytest.param("2", "H2O", 0, id="inside a word"),
        pytest.param("5", "3,5", 0, id="decimal comma"),
        pytest.param("3.5", "3,5", 0, id="a decimal comma where the answer has a point"),
        pytest.param("3,5", "Es sind 3,5.", 1, id="a decimal comma where the answer has one"),
        pytest.param("3,5", "3.5", 1, id="a point that can be nothing else"),
        pytest.param("3,5", "3,50 €", 1, id="as a number"),
        pytest.param("1,5", "1.500", 0, id="a point between thousands"),
        pytest.param("1.234,5", "1234,5", 1, id="European thousands in the answer"),
        pytest.param("1234,5", "1.234,5", 1, id="European thousands in the text"),
        pytest.param("1234,5", "1\u202f234,5", 1, id="unbroken space between thousands"),
        pytest.param("234,5", "1\u202f234,5", 0, id="which is one number"),
        pytest.param("1 234,5", "1 234,5 km", 1, id="any space, where the answer has one"),
        pytest.param("1.234.567", "1234567", 1, id="two points between thousands"),
        pytest.param("1,234", "1234", 1, id="a comma before three digits is between thousands"),
        pytest.param("1.234", "1234", 0, id="a point before three digits is decimal"),
        pytest.param("0,123", "0,123", 1, id="no thousands after a zero"),
        pytest.param("123", "0,123", 0, id="nor in the text"),
        pytest.param("1'234.5", "1\u2019234.5", 1, id="apostrophes between thousands"),
        pytest.param("3,5", "1.5.2", 0, id="a version, with a decimal comma"),
        pytest.param("3,5", "3,5,7", 0, id="a list"),
        pytest.param("-3,5e2", "−350", 1, id="sign and exponent"),
        pytest.param("42", "الجواب ٤٢", 1, id="Arabic-Indic digits"),
        pytest.param("42", "۴۲", 1, id="Persian digits"),
        pytest.param("42", "उत्तर: ४२।", 1, id="Hindi digits"),
        pytest.param("3.5", "٣٫٥", 1, id="Arabic decimal separator"),
        pytest.param("3,5", "٣٫٥", 1, id="whatever the answer's mark"),
        pytest.param("1234567", "١٬٢٣٤٬٥٦٧", 1, id="Arabic thousands"),
        pytest.param("٣٫٥", "3.5", 1, id="in the answer"),
        pytest.param("10", "10²", 0, id="nor is 10 squared 10"),
        pytest.param("2", "2½", 0, id="nor two and a half two"),
        pytest.param("2", "H２O", 0, id="inside a word, full width"),
        pytest.param("2", "1.5.2", 0, id="a version"),
        pytest.param("1", "1e99999999", 0, id="an absurd exponent"),
        pytest.param("3", "–3", 0, id="an en dash right before a number is a minus"),
        pytest.param("-3", "–3", 1, id="a minus as an en dash"),
        pytest.param("-3", "x = —3.", 1, id="as an em dash"),
        pytest.param("-3", "(‒3)", 1, id="as a figure dash, in brackets"),
        pytest.param("-3", "**‐3**", 1, id="as a hyphen that is no other's, in Markdown"),
        pytest.param("-3", "答案是–3", 1, id="after a sign of a script without spaces"),
        pytest.param("-3", "-$3", 1, id="before the currency"),
        pytest.param("3", "-$3", 0, id="which is no 3"),
        pytest.param("–3", "-3", 1, id="an en dash in the answer"),
        pytest.param("3", "2–3", 1, id="a range is no sign"),
        pytest.param("3", "10-3", 1, id="nor a difference"),
        pytest.param("3", "f(x)–3", 1, id="nor after a bracket"),
        pytest.param("3", "20%–3", 1, id="nor after a per cent sign"),
        pytest.param("28", "2024–02–28", 1, id="nor in a date"),
        pytest.param("3", "- 3", 1, id="nor is a bullet"),
        pytest.param("3", "– 3", 1, id="nor a dash with a space"),
        pytest.param("1 234", "1234", 1, id="a space between thousands in the answer"),
        pytest.param("1 234", "1 234", 1, id="and in the text"),
        pytest.param("1 234", "1\u00a0234", 1, id="as one that does not break"),
        pytest.param("1\u202f234", "1 234", 1, id="or one that does"),
        pytest.param("1234", "1\u202f234", 1, id="a narrow space between thousands, in the text alone"),
        pytest.param("1234.5", "1\u00a0234.5", 1, id="before a point"),
        pytest.param("1234567", "1\u2009234\u2009567 m", 1, id="thin ones, as in the SI"),
        pytest.param("234", "1\u202f234", 0, id="which is one number, with a point too"),
        pytest.param("500", "2024\u00a0500", 1, id="but not where the first part is no thousand"),
        pytest.param("234", "1 234", 1, id="plain spaces only where the answer has them"),
        pytest.param("1234", "1'234", 1, id="an apostrophe between thousands"),
        pytest.param("0,5", ".5", 1, id="a point without a digit before it, whatever the mark"),
        pytest.param("5", "So...5", 1, id="dots are no point"),
        pytest.param("1.000.000", "1,000,000", 1, id="several equal marks are thousands in every convention"),
        pytest.param("1000000", "1.000.000", 1, id="points too"),
        pytest.param("1.234,5", "1,234.5", 1, id="two kinds of marks leave no doubt"),
        pytest.param("1234.5", "1.234,5", 1, id="whatever the answer's mark"),
        pytest.param("1234567", "12,34,567", 1, id="Indian thousands"),
        pytest.param("12,34,567", "1,234,567", 1, id="in the answer"),
        pytest.param("0.1", "10%", 0, id="per cent is no part of a plain number"),
        pytest.param("10", "10%", 1, id="which is read without it"),
        pytest.param("50%", "It is 50 %.", 1, id="a per cent answer"),
        pytest.param("50%", "50 percent", 1, id="in words"),
        pytest.param("50%", "50\\%", 1, id="in LaTeX"),
        pytest.param("50%", "٥٠٪", 1, id="in Arabic"),
        pytest.param("50%", "0.5", 1, id="as what it is worth"),
        pytest.param("50%", "50", 0, id="fifty is not half"),
        pytest.param("50%", "50 percentage points", 0, id="nor are points per cent"),
        pytest.param("12,5 %", "12,5 Prozent", 1, id="with a decimal comma"),
        pytest.param("1/2", "1/2", 1, id="a fraction"),
        pytest.param("1/2", "½", 1, id="as a single sign"),
        pytest.param("1/2", "2/4", 1, id="not in lowest terms"),
        pytest.param("1/3", "It is \\frac{1}{3}.", 1, id="a fraction in LaTeX"),
        pytest.param("1/3", "0.333", 0, id="compared exactly, too"),
        pytest.param("-1/2", "–½", 1, id="a negative one"),
        pytest.param("2½", "2 1/2", 1, id="a whole number and a fraction"),
        pytest.param("1/2", "1/2/2024", 0, id="a date is no fraction"),
        pytest.param("1/2", "1/0", 0, id="nor is a division by zero"),
        pytest.param("7", "seven", 0, id="no number"),
        pytest.param("7", "", 0, id="empty"),
    ],
)
def test_numeric(answer: str, text: str, right: int) -> None:
    assert judge(answer, "numeric", text) == [right]


@pytest.mark.parametrize(
    ("pattern", "text", "right"),
    [
        (r"\bblue\b", "a blue sea", 1),
        (r"\bblue\b", "bluest", 0),
        (r"(?i)^yes", "Yes, of course", 1),
        (r"\p{Greek}", "the letter λ", 1),
    ],
)
def test_regex(pattern: str, text: str, right: int) -> None:
    assert judge(pattern, "regex", text) == [right]


def test_without_an_answer_accuracy_is_not_defined() -> None:
    assert all(map(math.isnan, judge(None, "exact", "a", "b")))


def test_every_completion_and_every_group_has_its_own_value() -> None:
    assert judge("yes", "exact", "yes", "no", "Yes") == [1, 0, 1]
    assert judge("yes", "exact") == []


def test_a_hostile_pattern_cannot_hang_the_run() -> None:
    began = time.monotonic()
    with pytest.raises(MetricError, match=r"prompt 'p'.*took over 1 s"):
        judge(r"(a|aa)+$", "regex", "a" * 60 + "b")
    assert time.monotonic() - began < 10


def test_a_long_digit_string_is_read_at_once() -> None:
    began = time.monotonic()
    for answer in ("1", "1,5", "1 234,5"):
        assert judge(answer, "numeric", "9" * 100_000 + "/1", ",111" * 30_000, "-" * 100_000) == [0, 0, 0]
        assert judge(answer, "numeric", "1" + ".111" * 30_000 + ".", "1" + " 111" * 30_000 + "/") == [0, 0]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("answer", "match", "words"),
    [
        pytest.param("(", "regex", "not a regular expression", id="bad pattern"),
        pytest.param("three", "numeric", "not a number", id="no number"),
        pytest.param("1/2/3", "numeric", "not a number.*`match: exact`", id="date"),
        pytest.param("...", "exact", "nothing to compare", id="marks only, as if empty"),
        pytest.param("", "exact", "nothing to compare", id="empty"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused_before_the_run(answer: str, match: Match, words: str) -> None:
    with pytest.raises(MetricError, match=rf"prompt 'p7'.*{words}"):
        check_answer(Prompt("p7", "?", answer=answer, match=match))


@pytest.mark.parametrize(
    ("answer", "match"), [(None, "exact"), ("Rome", "exact"), ("-3.5", "numeric"), ("a|b", "regex")]
)
def test_a_good_answer_is_let_through(answer: str | None, match: Match) -> None:
    check_answer(Prompt("p", "?", answer=answer, match=match))
