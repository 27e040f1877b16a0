"""A comment renders as one table, fits, and holds nothing that a stranger's file could make it do."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from evalkit.gate.decide import GateDecision
from evalkit.gate.formats.failure import Failure
from evalkit.gate.formats.markdown import LIMIT, failure_to_markdown, to_markdown
from tests.gate.formats.verdicts import ATTACK, HOSTILE, MIXED, judgement, verdict


class Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(page))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("told", [MIXED, ATTACK])
def test_it_renders_as_one_table_with_a_row_for_each_judgement(told: GateDecision) -> None:
    seen = Seen(to_markdown(told))
    assert set(seen.tags) <= {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert seen.tags.count("table") == 1
    assert len(seen.cells) == 7 * len(told.judgements)


def test_a_row_says_what_happened() -> None:
    cells = [cell.strip() for cell in Seen(to_markdown(MIXED)).cells]
    assert cells[:6] == ["❌", "vendi", "tuned", "−12.3 % (−14.0 to −10.5)", "−5 %", "60"]
    assert cells[7:9] == ["❔", "self_bleu (n 3)"]
    assert "about 137 prompts" in cells[13]


def test_a_strangers_names_are_shown_as_they_are() -> None:
    shown = Seen(to_markdown(ATTACK)).cells[2]
    assert "<script>alert(1)</script>" in shown
    assert "**x**" in shown


@pytest.mark.parametrize("suite", ["creative", "", HOSTILE, "--> <b>x</b>", "a--!>b", "é"])
def test_the_marker_is_the_first_line_and_nothing_in_a_name_ends_it(suite: str) -> None:
    first, rest = to_markdown(replace(MIXED, suite=suite)).split("\n", 1)
    assert re.fullmatch(r"<!-- evalkit gate: [\w.%~-]* -->", first, re.ASCII)
    assert first.count("--") == 2 + suite.count("--")
    assert rest.startswith("### ❌ evalkit gate")


def test_a_failure_shows_every_reason_and_makes_nothing_of_it() -> None:
    seen = Seen(failure_to_markdown(Failure((HOSTILE, "prompts: other ones"), 2, HOSTILE)))
    assert set(seen.tags) == {"h3", "p", "ul", "li"}
    assert seen.tags.count("li") == 2
    long = failure_to_markdown(Failure(("ß🦜" * 999,) * 99, 2, "tiny"))
    assert len(long.encode()) <= LIMIT
    assert "more do not fit; see the log" in long


@pytest.mark.parametrize("note", ["", HOSTILE, "ß🦜" * 400])
def test_however_many_rows_it_fits_into_a_comment_and_says_what_is_left_out(note: str) -> None:
    many = verdict(*(judgement(f"m{i}", note=note) for i in range(3000)))
    page = to_markdown(many)
    assert len(page.encode("utf-8", "replace")) <= LIMIT
    shown = page.count("| ❌ |")
    assert shown > 10
    assert f"{3000 - shown} more rows do not fit into a comment" in page
