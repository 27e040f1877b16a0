"""Annotations are in the runner's exact syntax, and a name in a file cannot end one and begin another."""

from __future__ import annotations

import re

from evalkit.gate.formats.github import command, to_annotations
from tests.gate.formats.verdicts import ATTACK, MIXED, judgement, verdict

# What actions/toolkit writes and the runner reads: ::NAME KEY=VALUE,KEY=VALUE::MESSAGE
SYNTAX = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")


def unescaped(text: str) -> str:
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, char)
    return text


def test_every_character_with_a_meaning_is_escaped_and_comes_back() -> None:
    title, message = "50 %, a: b\r\n%0A", "100 %: x, y\r\n::error::z %25"
    line = command("error", title, message)
    assert line == ("::error title=50 %25%2C a%3A b%0D%0A%250A::100 %25: x, y%0D%0A::error::z %2525")
    found = SYNTAX.fullmatch(line)
    assert found is not None
    assert unescaped(found[2]) == title
    assert unescaped(found[3]) == message


def test_regressions_are_errors_and_what_cannot_be_told_is_a_warning() -> None:
    lines = list(to_annotations(MIXED))
    assert lines[0] == (
        "::error title=Regression%3A vendi of tuned::vendi, tuned: −12.3 %25 (−14.0 to −10.5), −5 %25 allowed"
    )
    assert lines[1].startswith("::warning title=Inconclusive%3A self_bleu (n 3) of tuned::")
    assert len(lines) == 2


def test_a_pass_is_a_notice() -> None:
    assert list(to_annotations(verdict(judgement(outcome="pass")))) == [
        "::notice title=evalkit gate::Pass: 1 measure is within what may be lost."
    ]


def test_no_more_than_the_runner_shows_and_the_rest_is_counted() -> None:
    lines = list(to_annotations(verdict(*(judgement(f"m{i}") for i in range(25)))))
    assert len(lines) == 10
    assert lines[-1] == "::error title=evalkit gate::16 more like these; see the log"


def test_a_strangers_name_stays_inside_its_annotation() -> None:
    for line in to_annotations(ATTACK):
        assert SYNTAX.fullmatch(line)
