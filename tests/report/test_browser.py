"""The page in a real browser: strangers' scripts do not run, and the samples are there to read."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evalkit.report.build import build_report
from evalkit.report.content import ReportContent

from .hostile import ATTACK, HOSTILE, hostile_content

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
    "--enable-logging=stderr",
    "--dump-dom",
]
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser found: looked for {', '.join(NAMES)}")


class Dom(HTMLParser):
    """The document after its scripts ran."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.classes: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.append(found.get("id") or "")
        self.classes += (found.get("class") or "").split()

    def handle_data(self, data: str) -> None:
        self.text += data if self.cdata_elem is None else ""


def opened(html: str, folder: Path) -> tuple[Dom, str]:
    """The page's document and what the browser's console said."""
    assert BROWSER
    page = folder / "page.html"
    page.write_text(html, encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return Dom(done.stdout), console


def test_the_attack_would_be_seen(tmp_path: Path) -> None:
    dom, _ = opened(f"<!doctype html><body><script>{ATTACK}</script></body>", tmp_path)
    assert "pwned" in dom.ids


def test_no_hostile_script_runs_and_every_sample_is_shown(tmp_path: Path) -> None:
    dom, console = opened(build_report(hostile_content()), tmp_path)
    assert "pwned" not in dom.ids
    assert console == ""
    assert dom.classes.count("class-text") == 2 * len(HOSTILE)
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], "zero\u200bwidth", "👩‍👩‍👧‍👦", "lone surrogate \ufffd"):
        assert text in dom.text


def test_charts_and_prompts_are_drawn_without_a_complaint(sweep: ReportContent, tmp_path: Path) -> None:
    dom, console = opened(build_report(sweep), tmp_path)
    assert console == ""
    assert dom.classes.count("main-svg") >= 2
    assert dom.classes.count("errorbar") >= 5
    assert "60 of 60 prompts" in dom.text
    assert "32 completions, 1 different" in dom.text
