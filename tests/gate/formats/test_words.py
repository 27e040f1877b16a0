"""What is said is true, short, and the same everywhere."""

from __future__ import annotations

from dataclasses import replace

from evalkit.gate.formats import words
from tests.gate.formats.verdicts import ATTACK, MIXED, judgement, verdict


def test_the_headline_counts_and_names() -> None:
    assert words.headline(MIXED) == "Regression: 1 of 4 measures lost more than is allowed (vendi of tuned)."
    assert words.headline(verdict(judgement(outcome="pass"))) == "Pass: 1 measure is within what may be lost."
    many = verdict(*(judgement(f"m{i}", "inconclusive") for i in range(5)))
    assert words.headline(many) == (
        "Inconclusive: 5 of 5 measures cannot be told (m0 of tuned, m1 of tuned, m2 of tuned and 2 more)."
    )


def test_a_share_is_told_in_per_cent_and_a_difference_in_its_own_unit() -> None:
    share = judgement()
    assert words.moved(share) == "−12.3 % (−14.0 to −10.5)"
    assert words.allowed(share) == "−5 %"
    score = replace(share, unit="absolute", allowed=0.02, change=0.5, low=None, high=None)
    assert words.moved(score) == "+0.5"
    assert words.allowed(score) == "−0.02"
    assert words.allowed(replace(score, unit="standard_errors", allowed=3)) == "−3 SE"
    assert words.moved(replace(share, change=None)) == "not defined"
    assert words.moved(replace(share, change=0.0, low=-0.0001, high=0.0)) == "0.0 % (0.0 to 0.0)"


def test_what_does_not_vary_has_no_interval_that_looks_sure() -> None:
    alike = judgement(outcome="inconclusive", note="the difference is the same on every prompt")
    assert words.moved(replace(alike, change=0.1, low=0.1, high=0.1 + 1e-16)) == "+10.0 %"


def test_what_would_settle_it_is_told() -> None:
    assert (
        words.remark(judgement(outcome="inconclusive")) == "about 137 prompts like these would settle it (80% chance)"
    )


def test_names_stay_on_one_line_and_are_no_commands() -> None:
    for one in ATTACK.judgements:
        for text in (words.subject(one), words.arms(one), words.metric_name(one)):
            assert "\n" not in text
            assert "::" not in text
            assert len(text) < 300
