"""Results in a notebook: the verdict first, alarms, a table; whatever the texts and names are, they stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import html

import evalkit as ek
from evalkit.errors import StoreError
from evalkit.report.results.notebook import ROWS
from evalkit.report.results.results import Results
from tests.finished import finished_run
from tests.report.hostile import hostile_content

ALLOWED = {"div", "p", "strong", "bdi", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return ek.load(finished_run(tmp_path_factory.mktemp("run") / "r", {"base": 8, "tuned": 2}))


def test_the_verdict_of_the_report_comes_first(run: Results) -> None:
    shown = html.fromstring(run._repr_html_())
    assert shown.findtext(".//strong") == run.verdict.claim
    assert run.headline in repr(run)
    assert "8 prompts, 2 arms" in shown.text_content()


def test_rows_that_are_not_shown_are_counted(run: Results) -> None:
    texts = {"a": {"p": ["x y z", "x y w"], "q": ["a b", "c d"]}, "b": {"p": ["x y", "x"], "q": ["a b", "a"]}}
    found = ek.score(texts, progress=False)
    shown = html.fromstring(found._repr_html_())
    every = found.differences
    left = len(every[every.variant == every.variant.iloc[0]]) - ROWS
    assert len(shown.findall(".//tbody/tr")) == ROWS
    assert f"{left} more rows in .differences" in shown.text_content()


def test_a_difference_that_is_not_defined_is_not_called_unclear() -> None:
    found = ek.score({"a": ["one word", "two words"], "b": ["", ""]}, ["distinct_n", "length"], progress=False)
    shown = html.fromstring(found._repr_html_())
    rows = [[cell.text_content() for cell in row] for row in shown.findall(".//tbody/tr")]
    assert {row[0]: (row[5], row[7]) for row in rows} == {
        "distinct_n": ("not defined", ""),
        "length": ("−2.00", "unclear"),
    }


def test_one_arm_is_shown_by_its_estimates() -> None:
    shown = html.fromstring(ek.score(["a b", "c d"], ["length"], progress=False)._repr_html_())
    assert [cell.text_content() for cell in shown.findall(".//tbody/tr/td")][:2] == ["length", "texts"]


def test_what_strangers_wrote_stays_text() -> None:
    shown = html.fromstring(Results(hostile_content())._repr_html_())
    assert {element.tag for element in shown.iter()} <= ALLOWED
    assert {name for element in shown.iter() for name in element.attrib} <= {"style", "dir"}
    assert "<script>" in shown.text_content()


def test_the_saved_page_is_the_runs_report(run: Results, tmp_path: Path) -> None:
    assert run.folder is not None
    saved = run.save_page(tmp_path / "page.html")
    assert saved.read_bytes() == (run.folder / "report.html").read_bytes()


def test_a_page_that_cannot_be_written_is_one_line(run: Results, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no/page\.html could not be written: No such file or directory"):
        run.save_page(tmp_path / "no" / "page.html")
