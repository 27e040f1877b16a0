"""A comment renders as one table, fits, and holds nothing that a stranger's file could make it do."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from evalkit.announce.markdown import LIMIT, to_markdown
from evalkit.gate import Verdict
from tests.announce.verdicts import ATTACK, HOSTILE, MIXED, judgement, verdict


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
def test_it_renders_as_one_table_with_a_row_for_each_judgement(told: Verdict) -> None:
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


@pytest.mark.parametrize("note", ["", HOSTILE, "ß🦜" * 400])
def test_however_many_rows_it_fits_into_a_comment_and_says_what_is_left_out(note: str) -> None:
    many = verdict(*(judgement(f"m{i}", note=note) for i in range(3000)))
    page = to_markdown(many)
    assert len(page.encode("utf-8", "replace")) <= LIMIT
    shown = page.count("| ❌ |")
    assert shown > 10
    assert f"{3000 - shown} more rows do not fit into a comment" in page
