"""A site of runs: what was published stays, what is published again takes its place, what is another's is left alone."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import RecordsError, StoreError
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import policy
from evalkit.report.site import Published, index_page, publish, read_ledger
from evalkit.runs.summary import to_json
from tests.browser import THEMES, WIDTHS, Browser, Theme, checks

HOSTILE = "</title><script>document.title='pwned'</script><img src=x onerror=alert(1)>"


def write_run(folder: Path, content: ReportContent, started: str = "2026-11-28T05:00:00+00:00") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"state": "complete", "started": started, "tags": ["nightly"]}
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "summary.json").write_text(to_json(content.summary), encoding="utf-8")
    (folder / "report.html").write_text(f"<p>page of {folder.name}", encoding="utf-8")
    return folder


def entry(name: str, **changes: object) -> Published:
    when = datetime.datetime(2026, 11, 28, 5, tzinfo=datetime.UTC)
    return replace(Published("a", "k", name, "creative", when, ("base", "tuned"), "tuned gained."), **changes)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_site_holds_pages_and_numbers_and_an_index_with_a_line_each(tmp_path: Path, two_arms: ReportContent) -> None:
    old = write_run(tmp_path / "old", two_arms, "2026-11-01T05:00:00+00:00")
    new = write_run(tmp_path / "new", two_arms)
    listed = publish([old, new], tmp_path / "site")
    assert [run.name for run in listed] == ["new", "old"]
    assert set(files(tmp_path / "site")) == {
        "index.html", "site.json", "runs/old/report.html", "runs/old/summary.json", "runs/new/report.html",
        "runs/new/summary.json",
    }  # fmt: skip
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert page.index("runs/new/report.html") < page.index("runs/old/report.html")
    assert "nightly" in page
    assert listed[0].headline in page.replace("\u00a0", " ")


def test_publishing_again_changes_nothing_and_a_new_page_takes_the_place_of_the_old(
    tmp_path: Path, two_arms: ReportContent
) -> None:
    run, site = write_run(tmp_path / "run", two_arms), tmp_path / "site"
    publish([run], site)
    before = files(site)
    publish([run], site)
    assert files(site) == before
    (run / "report.html").write_text("<p>made again", encoding="utf-8")
    assert len(publish([run], site)) == 1
    assert files(site)["runs/run/report.html"] == b"<p>made again"


def test_another_run_of_the_same_name_gets_a_place_of_its_own(tmp_path: Path, two_arms: ReportContent) -> None:
    one, other = (write_run(tmp_path / day / "run", two_arms, f"2026-11-0{day}T05:00:00+00:00") for day in "12")
    publish([one], tmp_path / "site")
    assert [run.slug for run in publish([other], tmp_path / "site")] == ["run-2", "run"]


def test_what_is_anothers_is_neither_written_over_nor_deleted(tmp_path: Path, two_arms: ReportContent) -> None:
    run, site = write_run(tmp_path / "run", two_arms), tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    with pytest.raises(StoreError, match=r"there is an index\.html that evalkit did not write"):
        publish([run], site)
    assert files(site) == {"index.html": b"mine"}
    (site / "index.html").rename(site / "notes.html")
    publish([run], site)
    assert files(site)["notes.html"] == b"mine"


def test_a_publishing_that_was_killed_is_repaired_by_the_next(tmp_path: Path, two_arms: ReportContent,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from evalkit.plumbing.files import write_atomically

    def dies_at_the_index(path: Path, content: bytes) -> None:
        if path.name == "index.html":
            raise KeyboardInterrupt
        write_atomically(path, content)

    run, site = write_run(tmp_path / "run", two_arms), tmp_path / "site"
    with monkeypatch.context() as patch:
        patch.setattr("evalkit.report.site.write_atomically", dies_at_the_index)
        with pytest.raises(KeyboardInterrupt):
            publish([run], site)
    assert [entry.slug for entry in publish([run], site)] == ["run"]


def test_a_list_that_was_damaged_is_named_and_leads_nowhere_else(tmp_path: Path) -> None:
    good = json.loads(json.dumps([{"slug": "../x", "key": "k", "name": "n", "suite": "s",
                                   "started": "2026-11-28T05:00:00Z", "arms": [], "headline": ""}]))  # fmt: skip
    for content in ("[", json.dumps(good)):
        (tmp_path / "site.json").write_text(content)
        with pytest.raises(StoreError, match=r"site.json is no list of runs that evalkit wrote"):
            read_ledger(tmp_path)


def test_a_run_that_is_not_finished_is_refused_and_nothing_is_written(tmp_path: Path, two_arms: ReportContent) -> None:
    run = write_run(tmp_path / "run", two_arms)
    (run / "run.json").write_text('{"state": "running"}')
    with pytest.raises(RecordsError, match="is not complete"):
        publish([run], tmp_path / "site")
    assert files(tmp_path / "site") == {}


def test_names_of_strangers_are_escaped_and_the_page_runs_no_script() -> None:
    page = index_page([entry(HOSTILE, suite=HOSTILE, arms=(HOSTILE,), headline=HOSTILE, tags=(HOSTILE,))])
    assert "<script" not in page
    assert "<img" not in page
    assert "script-src 'none'" in policy([])


@pytest.mark.parametrize("theme", THEMES)
def test_the_index_holds_in_a_browser_at_every_width(browser: Browser, theme: Theme) -> None:
    runs = [
        entry("creative-20261128T050000Z-a1b2c3", tags=("nightly", "v2")),
        entry(HOSTILE, slug="b", tags=(HOSTILE,)),
    ]
    for width in WIDTHS:
        browser.open(index_page(runs), width=width, theme=theme)
        checks.fits(browser)
        checks.is_accessible(browser)
        with pytest.raises(AssertionError) as flaws:
            checks.holds_together(browser)
        # A page of its own may lead nowhere else; an index leads to the runs, and has no other flaw.
        assert {line.removeprefix("AssertionError: ") for line in str(flaws.value).splitlines()} == {
            f"a link leads out of the page: runs/{slug}/{name}"
            for slug in "ab"
            for name in ("report.html", "summary.json")
        }
    assert browser.driver.title == "Runs"
