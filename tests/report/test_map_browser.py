"""The maps in a real browser: drawn when a reader comes near, with the numbers of the picked prompt."""

from __future__ import annotations

from evalkit.report.page import build_report
from tests.browser import Browser, checks
from tests.report.hostile import HOSTILE, hostile_content
from tests.report.mapped import with_map


def test_both_maps_are_drawn_and_strangers_stay_strangers(browser: Browser) -> None:
    browser.open(build_report(with_map(hostile_content())))
    checks.is_drawn(browser)
    assert browser.all("#pwned") == []
    assert browser.all(".x2y2")  # the second arm's panel
    told = browser.evaluate("document.querySelector('main').textContent")
    assert told.count(f"{len(HOSTILE)} of {len(HOSTILE)}") == 2
    # Two arms and two prompts in panels; of one prompt, a face and an edge for each arm's texts.
    points = browser.evaluate("document.querySelectorAll('#completion-map .point').length")
    assert points >= (2 * 2 + 2 * 2) * len(HOSTILE)
