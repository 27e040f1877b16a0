"""The sample browser as a reader uses it: what repeats, what means the same, search in completions, keys."""

from __future__ import annotations

import dataclasses

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import Select

from evalkit.analysis.figure_data import FigureData, Meanings
from evalkit.records import Completion, Group, Message
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from tests.browser import Browser

CALM, SHIP = "The sea is calm today", "A ship is here again"
BIRDS = ("We saw red birds.", "They saw red birds fly.")
OTHERS = [f"alpha{i} beta{i} gamma{i}" for i in range(5)]
SHORT = "Heads."
TEXTS = [CALM] * 12 + [SHIP] * 3 + [*BIRDS, *OTHERS, SHORT, SHORT]
"""Of the 24, half are alike, an eighth, and two; two others share a run of three words."""
MEANINGS = (0,) * 15 + (1, 1, 2, 3, 4, 5, 6, 7, 7)
"""The sea and the ship mean the same; so do both birds."""


@pytest.fixture(scope="module")
def page(two_arms: ReportContent) -> str:
    """The first prompt's base completions are `TEXTS`; all others are the made-up run's."""
    first, *others = two_arms.groups["base"]
    completions = tuple(Completion(first.prompt.id, i, text, (), (), "stop") for i, text in enumerate(TEXTS))
    groups = {**two_arms.groups, "base": [Group(first.prompt, completions), *others]}
    tuned = {group.prompt.id: tuple(range(len(group.completions))) for group in groups["tuned"]}
    meanings = Meanings("distinct_k", 0.65, {"base": {first.prompt.id: MEANINGS}, "tuned": tuned})
    return build_report(dataclasses.replace(two_arms, groups=groups, figure_data=FigureData(meanings=meanings)))


def shown(browser: Browser) -> list[str]:
    """Texts of the first arm, once they are there."""
    return list(browser.until(lambda: browser.texts("#prompt .arm:first-child .class-text"), "completions"))


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


def at(browser: Browser, prompt: str) -> None:
    """Wait for the address and the list to be at a prompt."""
    wanted = [f"#prompt-{prompt}", prompt]
    found = "[location.hash, document.querySelector('#prompts a[aria-current] bdi').textContent]"
    browser.until(lambda: browser.evaluate(found) == wanted, f"{prompt} in address and list")


def test_what_repeats_is_marked_by_how_many_share_it(browser: Browser, page: str) -> None:
    browser.open(page)
    shown(browser)
    Select(browser.one("#group-by")).select_by_value("text")
    browser.until(lambda: len(shown(browser)) == 10, "an entry a text")
    marks = [browser.texts(f"#prompt .arm:first-child .repeats-{level}") for level in (3, 2, 1)]
    assert marks == [[CALM], [SHIP], ["Heads", "saw red birds", "saw red birds"]]
    words = [len(text.split()) for text in TEXTS]
    share = round(100 * (15 * 5 + 2 * 3 + 2) / sum(words))
    assert f"{share} % of words in runs that others share" in browser.texts("#prompt .arm:first-child .drawn")
    browser.one("#mark-repeats").click()
    browser.until(lambda: not browser.all("#prompt mark"), "no marks")
    assert shown(browser)[0] == CALM


def test_one_meaning_is_one_entry_with_its_wordings_on_demand(browser: Browser, page: str) -> None:
    browser.open(page)
    assert shown(browser)[:3] == [CALM, SHORT, BIRDS[0]]
    assert browser.texts("#prompt .arm:first-child .class-head b")[:3] == ["15 ×", "2 ×", "2 ×"]
    assert "24 completions, 10 different texts, 8 meanings" in browser.texts("#prompt .arm:first-child .drawn")
    browser.one("#prompt .arm:first-child li summary").click()
    browser.until(lambda: shown(browser)[:3] == [CALM, SHIP, SHORT], "the other wording")
    Select(browser.one("#group-by")).select_by_value("text")
    browser.until(lambda: shown(browser) == [CALM, SHIP, SHORT, *BIRDS, *OTHERS], "an entry a text")


def test_completions_are_searched_on_demand(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.one("#search").send_keys("RED fly")
    assert browser.texts("#found") == ["0 of 60 prompts"]
    press(browser, Keys.ENTER)
    browser.until(lambda: browser.texts("#found") == ["1 of 60 prompts; 1 completion of 1 prompt found"], "its end")
    assert browser.texts("#prompts .line span:last-child") == ["1 completion"]
    browser.until(lambda: browser.texts("#prompt .hit"), "the words in the completions")
    assert browser.texts("#prompt .hit") == ["red", "fly"]
    assert shown(browser)[:2] == list(BIRDS)
    browser.one("#search").send_keys(".")
    assert browser.texts("#found") == ["0 of 60 prompts"]
    browser.until(lambda: not browser.texts("#prompt .hit"), "no words")


def test_a_search_can_be_stopped(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.one("#search").send_keys("birds")
    browser.evaluate(
        "for (const id of ['search-completions', 'searching']) document.querySelector(`button#${id}, #${id} button`).click()"
    )
    browser.until(lambda: "of the first 0 found" in browser.texts("#found")[0], "a search that stopped at once")
    assert not browser.one("#searching").is_displayed()


def test_any_sign_can_be_searched(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.one("#search").send_keys("line-0 (1).")
    assert browser.texts("#prompts bdi") == ["line-01"]
    browser.one("#search").clear()
    browser.one("#search").send_keys(r"^$\.*+?()[]{}|/-")
    assert browser.texts("#found") == ["0 of 60 prompts"]


def test_keys_lead_from_search_to_list_and_through_it(browser: Browser, page: str) -> None:
    browser.open(page, "#prompt-line-30")
    shown(browser)
    press(browser, "/")
    assert browser.evaluate("document.activeElement.id") == "search"
    press(browser, "line-3", Keys.ESCAPE)
    assert browser.one("#search").get_attribute("value") == "line-3"
    assert browser.evaluate("document.activeElement.querySelector('bdi').textContent") == "line-30"
    for key, prompt in (
        (Keys.ARROW_DOWN, "line-31"),
        (Keys.END, "line-39"),
        (Keys.ARROW_UP, "line-38"),
        (Keys.HOME, "line-30"),
    ):
        press(browser, key)
        at(browser, prompt)
        assert browser.evaluate("document.activeElement.querySelector('bdi').textContent") == prompt
    assert len(browser.all("#prompts a[tabindex='0']")) == 1


def test_the_list_sorts_by_gain_of_quality_and_shows_its_top(browser: Browser, page: str) -> None:
    browser.open(page)
    Select(browser.one("#sort")).select_by_visible_text("largest gain in reward: tuned against base")
    told = browser.texts("#prompts .line span:last-child")
    gained = [float(text.removeprefix("gained ").replace("−", "-")) for text in told]
    assert gained == sorted(gained, reverse=True)
    at(browser, browser.texts("#prompts bdi")[0])


def test_a_conversation_is_shown_as_turns_and_never_as_markup(browser: Browser, two_arms: ReportContent) -> None:
    first, *others = two_arms.groups["base"]
    turns = (Message("system", "Be brief."), Message("user", "<img src=x onerror=alert(1)>"))
    asked = dataclasses.replace(first.prompt, messages=turns)
    groups = {arm: [Group(asked, members[0].completions), *members[1:]] for arm, members in two_arms.groups.items()}
    browser.open(build_report(dataclasses.replace(two_arms, groups=groups)))
    shown(browser)
    assert browser.texts("#prompt .turn .role") == ["system", "user"]
    assert browser.texts("#prompt .turn .said") == [turn.content for turn in turns]
    assert browser.texts("#prompt h3") == [asked.id]
    assert browser.texts("#prompts .text")[0] == turns[-1].content, "conversations often begin alike"
    assert not browser.all("#prompt img, #prompts img")
    browser.driver.execute_script("location.hash = arguments[0]", f"#prompt-{others[0].prompt.id}")
    browser.until(lambda: not browser.all("#prompt .turn"), "a prompt without turns")
    assert not browser.complaints()
