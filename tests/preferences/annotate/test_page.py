"""The page in a real browser, as raters use it: by keyboard and by mouse, on a phone and a laptop, two at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from evalkit.plumbing.prose import showable
from evalkit.preferences.annotation import Comparison
from evalkit.preferences.pairs import Pair
from evalkit.records import Message, Prompt
from tests.browser import PATIENCE, THEMES, Browser, Theme, checks
from tests.preferences.annotate.served import Served, comparisons, gold, rows, served
from tests.report.hostile import HOSTILE

WIDTHS = (400, 1280)
INSTRUCTIONS = "<h1>How to choose</h1><p>The <strong>better</strong> one.</p>"
Press = Callable[[Browser, str], None]


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """The browser, of which the test says that it asked the page's own server for things, and nobody else."""
    yield browser
    told = browser.complaints()
    browser.driver.get("about:blank")
    own = r"asked for http://127\.0\.0\.1:\d+/(annotate\.\w+|api/\w+|)(#|$)"
    refusals = (
        r"console: http://127\.0\.0\.1:\d+/api/\w+ - Failed to load .*(status of 40[39]|ERR_INTERNET_DISCONNECTED)"
    )
    assert [line for line in told if not re.match(f"{own}|{refusals}", line)] == []
    browser.complaints()


def opened(browser: Browser, server: Served, rater: str = "ann", width: int = 1280, theme: Theme = "light") -> None:
    browser.driver.get("about:blank")
    browser.resize(width)
    browser.dress(theme)
    browser.driver.get(f"{server.url}/" + (f"#rater={rater}" if rater else ""))
    browser.until(lambda: is_shown(browser, "#entry" if not rater else "#pair, #instructions, #end"), "the page")


def is_shown(browser: Browser, selector: str) -> bool:
    return bool(browser.evaluate(f"[...document.querySelectorAll('{selector}')].some((e) => e.checkVisibility())"))


def arrive(browser: Browser, own: int) -> None:
    """Wait until the page says that so many are done, and takes the next choice; in the page, which is sooner."""
    count = "document.querySelector('#counts').textContent.split(' ·')[0]"
    ready = f"{count} === 'You: {own}' && !document.body.ariaBusy"
    look = f"const look = () => ({ready}) ? done(true) : performance.now() < end ? setTimeout(look, 5) : done(false)"
    arrived = f"new Promise((done) => {{ const end = performance.now() + {1000 * PATIENCE}; {look}; look(); }})"
    assert browser.evaluate(arrived), f"the page did not come to {own} answers"


def keys(browser: Browser, *pressed: str) -> None:
    ActionChains(browser.driver, duration=0).send_keys(*pressed).perform()


def by_keyboard(browser: Browser, place: str) -> None:
    keys(browser, {"first": "1", "second": Keys.ARROW_RIGHT}[place])


def by_mouse(browser: Browser, place: str) -> None:
    browser.one(f"[data-choice={place}]").click()


def label(browser: Browser, count: int, press: Press) -> None:
    """Choose the good one of each pair."""
    for number in range(count):
        arrive(browser, number)
        [first] = browser.texts("#first-text")
        press(browser, "first" if first.startswith("good") else "second")
    browser.until(lambda: is_shown(browser, "#end"), "the end")


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_two_raters_at_once_label_fifty_pairs_by_keyboard_and_by_mouse(
    width: int, page: Browser, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    second = Browser(tmp_path / "second")
    try:
        with served(tmp_path, comparisons(50), overlap=2) as server, ThreadPoolExecutor() as pool:
            work: list[tuple[Browser, str, Press]] = [(page, "ann", by_keyboard), (second, "ben", by_mouse)]
            for browser, rater, _ in work:
                opened(browser, server, rater, width)
            for done in [pool.submit(label, browser, 50, press) for browser, _, press in work]:
                done.result()
            answers = server.answers
    finally:
        second.quit()
    assert len(answers) == 100
    assert {one.choice for one in answers} == {"a"}
    assert len({(one.rater, one.comparison.id) for one in answers}) == 100
    assert all(0 < one.seconds < 60 for one in answers)


def test_a_rater_names_themself_reads_what_is_asked_and_answers_with_keys_alone(page: Browser, tmp_path: Path) -> None:
    with served(tmp_path, comparisons(4), asks_strength=True, asks_reason=True, instructions=INSTRUCTIONS) as server:
        opened(page, server, rater="")
        keys(page, " Ann B ", Keys.ENTER)
        page.until(lambda: is_shown(page, "#instructions"), "the instructions")
        assert page.texts("#told strong") == ["better"]
        assert not is_shown(page, "#pair")
        keys(page, Keys.ENTER)
        page.until(lambda: is_shown(page, "#pair"), "the pair")
        keys(page, "1")
        page.until(lambda: is_shown(page, "#strengths"), "how much better")
        keys(page, Keys.ARROW_RIGHT, "3", "r", "1 is dull", Keys.ENTER)
        arrive(page, 1)
        keys(page, "0")
        page.until(lambda: is_shown(page, "#reasons"), "why")
        assert not is_shown(page, "#strengths")
        keys(page, Keys.ESCAPE, "b", Keys.ENTER)
        arrive(page, 2)
        keys(page, "s")
        arrive(page, 3)
        keys(page, "u")
        arrive(page, 2)
        keys(page, "s")
        arrive(page, 3)
        better, bad, skipped = server.answers
    assert better.rater == "Ann B"
    assert better.choice == ("b" if better.first == "a" else "a")
    assert (better.strength, better.reason) == (3, "1 is dull")
    assert (bad.choice, bad.strength, skipped.choice) == ("both_bad", None, "skip")


def test_strangers_texts_are_texts(page: Browser, tmp_path: Path) -> None:
    texts = [showable(text) for text in HOSTILE if len(text) < 10_000]
    turns = tuple(
        Message(role, text or "-") for role, text in zip(("system", "user", "assistant", "user"), texts, strict=False)
    )
    pairs = [
        Comparison(Pair(Prompt(f"p{place}", text or "-", messages=turns), text, f"another {place}"))
        for place, text in enumerate(texts)
    ]
    with served(tmp_path, pairs) as server:
        opened(page, server, rater="<b>ann</b>")
        seen = []
        for number in range(len(pairs)):
            arrive(page, number)
            assert page.texts(".turn > :last-child") == [turn.content for turn in turns]
            seen += page.texts("#first-text, #second-text")
            assert page.evaluate("document.querySelectorAll('.text *, #who *, .turn b, #pwned').length") == 0
            keys(page, "1")
        page.until(lambda: is_shown(page, "#end"), "the end")
        assert page.driver.title == "Which answer is better?"
    unbroken = {re.sub(r"\r\n?", "\n", text) for text in seen}
    assert unbroken >= {re.sub(r"\r\n?", "\n", text) or "(an empty answer)" for text in texts}


def test_a_reload_in_the_middle_keeps_the_pair_and_its_time(page: Browser, tmp_path: Path) -> None:
    with served(tmp_path, comparisons(5), fastest=1.5) as server:
        opened(page, server)
        before = page.texts("#first-text, #second-text")
        page.until(lambda: page.evaluate("seconds") > 1.6, "some time")
        page.driver.refresh()
        arrive(page, 0)
        assert page.texts("#first-text, #second-text") == before
        keys(page, "2")
        arrive(page, 1)
        [told] = server.answers
        assert told.seconds > 1.5
        assert rows(server.path)["failures"] == []


def test_of_two_tabs_of_one_rater_the_slower_one_moves_on(page: Browser, tmp_path: Path) -> None:
    driver = page.driver
    with served(tmp_path, comparisons(5)) as server:
        opened(page, server)
        [left] = driver.window_handles
        try:
            driver.switch_to.new_window("tab")
            driver.get(f"{server.url}/#rater=ann")
            page.until(lambda: is_shown(page, "#pair"), "the pair")
            shown = page.texts("#first-text")
            page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")  # so that it does not look
            right = driver.current_window_handle
            driver.switch_to.window(left)
            page.until(lambda: page.texts("#first-text") == shown, "the same pair")
            keys(page, "1")
            arrive(page, 1)
            following = page.texts("#first-text")
            driver.switch_to.window(right)
            assert page.texts("#first-text") == shown
            keys(page, "2")
            page.until(lambda: "answered this pair already" in page.texts("#note")[0], "the note")
            assert page.texts("#first-text") == following
            assert len(server.answers) == 1
        finally:
            for handle in driver.window_handles:
                if handle != left:
                    driver.switch_to.window(handle)
                    driver.close()
            driver.switch_to.window(left)


def test_a_tab_that_is_looked_at_again_shows_what_is_open_now(page: Browser, tmp_path: Path) -> None:
    with served(tmp_path, comparisons(5)) as server:
        opened(page, server)
        shown = page.texts("#first-text")
        elsewhere = server.rater("ann")  # another tab
        elsewhere.enter()
        elsewhere.answer()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        arrive(page, 1)
        assert page.texts("#first-text") != shown
        assert "is closed" in page.texts("#note")[0]


def test_neither_sleep_nor_another_window_counts_as_time(page: Browser, tmp_path: Path) -> None:
    with served(tmp_path, comparisons(5)) as server:
        opened(page, server)
        page.evaluate("clock = performance.now.bind(performance); performance.now = () => clock() + ahead; ahead = 0")
        page.evaluate("ahead += 3600e3; tick()")  # the machine slept
        page.evaluate("away = true; Object.defineProperty(document, 'hidden', { get: () => away })")
        page.evaluate("for (let i = 0; i < 100; i++) { ahead += 900; tick(); }")  # behind another window timers go on
        server.clock.ahead += 3700
        page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
        keys(page, "1")
        arrive(page, 1)
        [told] = server.answers
    assert told.seconds < 30


def test_an_answer_without_a_connection_is_sent_when_there_is_one_and_counts_once(
    page: Browser, tmp_path: Path
) -> None:
    conditions: dict[str, Any] = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    with served(tmp_path, comparisons(5)) as server:
        opened(page, server)
        page.cdp("Network.enable")
        page.cdp("Network.emulateNetworkConditions", offline=True, **conditions)
        try:
            keys(page, "1")
            page.until(lambda: "not saved yet" in page.texts("#note")[0], "the note")
            assert server.answers == []
        finally:
            page.cdp("Network.emulateNetworkConditions", offline=False, **conditions)
        arrive(page, 1)
        assert page.texts("#note") == [""]
        assert len(server.answers) == 1


def test_a_missed_check_is_told_and_the_end_is_the_end(page: Browser, tmp_path: Path) -> None:
    with served(tmp_path, comparisons(9), gold(9), gold_every=2, stop_at=2) as server:
        opened(page, server)
        told = []
        while not is_shown(page, "#end"):
            keys(page, "0")
            arrive(page, len(told) + 1)
            told += page.texts("#note")
        assert sum("expected choice was answer" in note for note in told) == 2
        assert "do not count" in page.texts("#end-text")[0]
        assert not is_shown(page, "#actions")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_state_of_the_page_fits_and_is_accessible(
    page: Browser, width: int, theme: Theme, tmp_path: Path
) -> None:
    def look() -> None:
        checks.holds_together(page)
        checks.fits(page)
        checks.is_accessible(page)

    talk = (Message("user", "Hi?"), Message("assistant", "Yes? " * 30), Message("user", "x" * 300))
    pairs = [Comparison(Pair(Prompt("p", "Hi?", messages=talk), "word " * 300, "w" * 500))]
    with served(tmp_path, pairs, asks_strength=True, asks_reason=True, instructions=INSTRUCTIONS) as server:
        opened(page, server, "", width, theme)
        look()
        keys(page, "ann", Keys.ENTER)
        page.until(lambda: is_shown(page, "#instructions"), "the instructions")
        look()
        page.one("#begin").click()
        page.until(lambda: is_shown(page, "#pair"), "the pair")
        look()
        page.one("[data-choice=second]").click()
        page.until(lambda: is_shown(page, "#more"), "how much better")
        look()
        page.one("#strengths label").click()
        page.one("#more [type=submit]").click()
        page.until(lambda: is_shown(page, "#end"), "the end")
        look()
        page.one("#undo").click()
        page.until(lambda: is_shown(page, "#pair"), "the pair again")


def test_a_link_that_is_not_valid_is_told_of(page: Browser, tmp_path: Path) -> None:
    with served(tmp_path, comparisons(2), raters=["ann"]) as server:
        opened(page, server, "eve")
        assert "not among the raters" in page.texts("#end-text")[0]
        assert not is_shown(page, "#pair, #actions")
