"""The atlas in a real browser: drawn when a reader comes near, walked on with keys, read with its neighbours."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import Select

from evalkit.report import page
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import asset
from evalkit.report.page import build_report
from tests.browser import Browser
from tests.report.hostile import hostile_content
from tests.report.mapped import with_atlas, with_map

READ = "#atlas-chosen .class-text"


@pytest.fixture(scope="module")
def report(two_arms: ReportContent) -> str:
    return build_report(with_atlas(with_map(two_arms)))


def near(browser: Browser) -> None:
    browser.evaluate("document.getElementById('atlas-figure').scrollIntoView()")
    browser.until(lambda: browser.evaluate("document.getElementById('atlas').dataset.drawn"), "the atlas")


def press(browser: Browser, keys: str) -> None:
    ActionChains(browser.driver).send_keys(keys).perform()


def seen(browser: Browser) -> int:
    return int(browser.evaluate("Number(document.getElementById('atlas').dataset.seen)"))


def read(browser: Browser) -> list[str]:
    """The text that is chosen and those most like it."""
    browser.until(lambda: len(browser.texts(READ)) == 6, "a text with its neighbours")
    return browser.texts(READ)


def pixels(browser: Browser, of: str) -> int:
    """A number made of what is drawn: read from a copy, since a canvas that is read often is drawn in another way."""
    return int(
        browser.evaluate(f"""(() => {{
          const canvas = document.querySelector("#atlas canvas");
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {{ willReadFrequently: true }});
          copy.drawImage(canvas, 0, 0);
          const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height);
          return data.reduce((sum, value, at) => sum + ({of}), 0);
        }})()""")
    )


def ink(browser: Browser) -> int:
    """Pixels that are not empty."""
    return pixels(browser, "at % 4 === 3 && value > 0 ? 1 : 0")


def test_it_is_walked_on_with_keys_and_texts_are_read(browser: Browser, report: str) -> None:
    browser.open(report)
    near(browser)
    assert ink(browser) > 1000
    browser.evaluate("document.getElementById('atlas').focus({ preventScroll: true })")
    press(browser, "\ue014")  # to the right: none is chosen yet, so the one in the middle
    first = read(browser)
    assert len(set(first)) == 6
    press(browser, "1")
    browser.until(lambda: read(browser)[0] == first[1], "its nearest")
    press(browser, "\ue014")
    browser.until(lambda: read(browser)[0] != first[1], "the next to the right")
    browser.one("#atlas-chosen .to-text").click()
    press(browser, "\ue00c")
    assert browser.one("#atlas").get_attribute("aria-describedby") == "atlas-keys"


def test_zooming_shows_less_and_the_whole_map_all(browser: Browser, report: str) -> None:
    browser.open(report, width=400, theme="dark")
    near(browser)
    every = seen(browser)
    for _ in range(4):
        browser.one("#atlas-in").click()
    browser.until(lambda: 0 <= seen(browser) < every / 2, "a part of the map")
    browser.one("#atlas-whole").click()
    browser.until(lambda: seen(browser) == every, "the whole map")


def test_a_click_chooses_what_lies_there_and_a_region_is_gone_to(browser: Browser, report: str) -> None:
    browser.open(report)
    near(browser)
    every = seen(browser)
    browser.evaluate("document.querySelector('.atlas-regions').open = true")
    browser.evaluate("document.querySelector('.to-region').click()")
    browser.until(lambda: seen(browser) < every, "a region")
    ActionChains(browser.driver).move_to_element(browser.one("#atlas canvas")).click().perform()
    assert read(browser)  # its middle is a text


def test_one_arm_is_shown_before_the_others(browser: Browser, report: str) -> None:
    browser.open(report)
    near(browser)
    before = pixels(browser, "value")
    Select(browser.one("#atlas-arm")).select_by_visible_text("tuned")
    browser.until(lambda: pixels(browser, "value") != before, "the other arm grey")


def test_many_points_are_drawn_as_their_density(
    browser: Browser, two_arms: ReportContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_dots = {"atlas_canvas.js": ("const MOST_DOTS = 8000;", "const MOST_DOTS = 0;")}
    monkeypatch.setattr(
        page, "asset", lambda package, name: asset(package, name).replace(*few_dots.get(name, ("", "")))
    )
    browser.open(build_report(with_atlas(with_map(two_arms))))
    near(browser)
    assert browser.one("#atlas").get_attribute("data-drawn") == "density"
    assert ink(browser) > 1000


def test_strangers_texts_stay_texts(browser: Browser) -> None:
    browser.open(build_report(with_atlas(with_map(hostile_content()), fewest=2)))
    near(browser)
    browser.evaluate("document.getElementById('atlas').focus({ preventScroll: true })")
    press(browser, "\ue014")
    assert len(read(browser)) == 6
    assert browser.all("#pwned") == []
