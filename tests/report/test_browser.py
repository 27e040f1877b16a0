"""The report in a real browser, as a reader uses it; strangers' texts stay texts there.

The fixture `browser` holds after every test that the console was silent and that nothing was asked of the network.
"""

from __future__ import annotations

import csv
import json
import re

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import Select

from evalkit.plumbing.prose import showable
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from tests.browser import THEMES, WIDTHS, Browser, Theme, checks
from tests.report.hostile import ATTACK, HOSTILE, NAME, hostile_content
from tests.report.mapped import with_atlas, with_map
from tests.report.opinions import opinions_content
from tests.report.page_sections import everything
from tests.report.whole import whole_content
from tests.report.worded import with_words, with_words_of

AWAY = "https://example.invalid/"
PAPER = 718
"""Pixels between the margins that Chromium leaves on A4."""
LISTED = "#prompts a bdi"
COLOURS = """[document.body, document.querySelector("h1"), ...document.querySelectorAll(".plot .xtick text")].map((e) => {
  const { color, backgroundColor, fill } = getComputedStyle(e);
  return [e === document.body ? backgroundColor : e.closest(".plot") ? fill : color];
}).flat()"""


@pytest.fixture(scope="module")
def report(sweep: ReportContent) -> str:
    told = with_words(with_map(whole_content(sweep)), "the sea", "sang about", "nobody says this")
    return build_report(with_atlas(told))


@pytest.fixture(scope="module")
def lawful() -> str:
    return build_report(everything())


@pytest.fixture(scope="module")
def opinionated() -> str:
    return build_report(opinions_content())


@pytest.fixture(scope="module")
def hostile() -> str:
    return build_report(with_atlas(with_words_of(with_map(hostile_content()), NAME), fewest=2))


def current(browser: Browser) -> str:
    """The id of the prompt that is shown, once its completions are there and it is the one of the address, if any is.

    A click changes the address at once, and what is shown a moment later.
    """

    def shown() -> str | None:
        marked = browser.texts("#prompts a[aria-current] bdi")
        linked = browser.evaluate("document.querySelector('#prompt .about a')?.getAttribute('href')")
        wanted = browser.evaluate(
            "location.hash.startsWith('#prompt-') ? location.hash"
            " : document.querySelector('#prompts a[aria-current]')?.getAttribute('href')"
        )
        return marked[0] if marked and linked == wanted and browser.all("#prompt .class-text") else None

    return str(browser.until(shown, "a prompt with its completions"))


def address(browser: Browser) -> str:
    return str(browser.evaluate("decodeURIComponent(location.hash)"))


def test_what_must_not_happen_would_be_seen(browser: Browser) -> None:
    browser.open(
        f"<!doctype html><title>x</title><img src='{AWAY}a.png'><script>{ATTACK}; throw Error('loud')</script>"
    )
    browser.until(lambda: browser.all("#pwned"), "the attack")
    said = browser.complaints()
    assert f"asked for {AWAY}a.png" in said
    assert [complaint for complaint in said if "loud" in complaint]


def test_what_the_checks_look_for_would_be_found(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.open(
        """<!doctype html><html lang=en><title>x</title><body style="background: #fff">
        <b id=a></b><b id=a></b><a href="#b">on</a><select></select><div style="width: 2000px">wide</div>
        <p style="color: #ccc">faint</p><div class=plot id=p></div>"""
    )
    monkeypatch.setattr("tests.browser.PATIENCE", 0)  # what is not so is waited for; the page is there
    for check, words in (
        (checks.holds_together, ("two elements have the id a", "leads nowhere: #b", "no label", "without caption")),
        (checks.fits, ("the page is 2", "div. “wide” reaches")),
        (checks.is_drawn, ("p is empty",)),
        (checks.is_accessible, ("color-contrast", "select-name")),
    ):
        with pytest.raises(AssertionError) as found:
            check(browser)
        assert [word for word in words if word not in str(found.value)] == []


def test_the_policy_stops_what_is_put_into_the_page(browser: Browser, report: str) -> None:
    browser.open(report)
    before = browser.driver.title
    browser.evaluate(f"""(async () => {{
      const script = document.createElement("script");
      script.textContent = {json.dumps(ATTACK)};
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", {json.dumps(HOSTILE[2] + f"<img src={AWAY}>")});
      await fetch("{AWAY}").catch(() => null);
    }})()""")
    said: list[str] = []
    browser.until(lambda: said.extend(browser.complaints()) or "stopped " + AWAY in said, "the end of a request")
    assert browser.driver.title == before
    assert browser.all("#pwned") == []
    asked = {complaint.removeprefix("asked for ") for complaint in said if complaint.startswith("asked for ")}
    assert asked == {complaint.removeprefix("stopped ") for complaint in said if complaint.startswith("stopped ")}
    told = [complaint for complaint in said if "Content Security Policy" in complaint]
    assert [what for what in ("script", "image", "connect") if not any(what in complaint for complaint in told)] == []


def test_every_hostile_text_is_shown_as_it_is(browser: Browser, hostile: str) -> None:
    browser.open(hostile)
    assert current(browser) == "p1"
    for _ in range(2 * len(HOSTILE)):
        for button in browser.all("#prompt .arm button")[:1]:
            button.click()
    assert browser.all("#prompt .arm button") == []
    wanted = list(dict.fromkeys(showable(text.strip()) for text in HOSTILE))
    shown = browser.evaluate(
        """[...document.querySelectorAll("#prompt .arm")].map((arm) =>
        [...arm.querySelectorAll(".class-text")].map((text) => text.textContent))"""
    )
    assert [sorted(texts) for texts in shown] == [sorted(wanted)] * 2
    name = showable(NAME)
    assert browser.driver.title.split() == name.split()
    assert browser.texts("#prompt h3") == [name]
    assert browser.texts("#prompt .arm h4 bdi") == ["base", name]
    assert browser.texts("#prompt pre") == [name, name]
    assert browser.all("#pwned") == []
    assert (
        browser.all("main img, main script, main iframe, main math, [onload], [onerror], [onclick], a[href^=java]")
        == []
    )


def test_a_hostile_prompt_has_its_link(browser: Browser, hostile: str) -> None:
    browser.open(hostile)
    browser.all("#prompts a")[1].click()
    assert current(browser) == showable(NAME)
    link = browser.evaluate("location.hash")
    browser.open(hostile, link)
    assert current(browser) == showable(NAME)


@pytest.mark.parametrize("page", ["report", "lawful", "opinionated", "hostile"])
def test_it_fits_and_is_drawn_at_every_width(browser: Browser, page: str, request: pytest.FixtureRequest) -> None:
    browser.open(request.getfixturevalue(page), width=WIDTHS[-1])
    current(browser)
    checks.holds_together(browser)
    for width in WIDTHS:  # all by resizing: a window is not only opened, it is also drawn larger and smaller
        browser.resize(width)
        checks.fits(browser)
        checks.is_drawn(browser)
    checks.opens_everything(browser)
    for width in WIDTHS:
        browser.resize(width)
        checks.fits(browser)
        checks.is_drawn(browser)


@pytest.mark.parametrize("page", ["report", "lawful", "opinionated", "hostile"])
def test_it_has_no_serious_violation_of_accessibility(
    browser: Browser, page: str, request: pytest.FixtureRequest
) -> None:
    browser.open(request.getfixturevalue(page))
    current(browser)
    checks.opens_everything(browser)
    checks.is_accessible(browser)
    browser.resize(WIDTHS[0])
    browser.dress("dark")
    checks.is_accessible(browser)


def test_the_theme_follows_the_reader(browser: Browser, report: str) -> None:
    seen: dict[Theme, list[str]] = {}
    for theme in THEMES:
        browser.open(report, theme=theme)
        checks.is_drawn(browser)
        seen[theme] = browser.evaluate(COLOURS)
    assert len(seen["light"]) > 12
    assert [(a, b) for a, b in zip(seen["light"], seen["dark"], strict=True) if a == b] == []
    browser.dress("light")
    browser.until(lambda: browser.evaluate(COLOURS) == seen["light"], "the light colours without loading again")


def test_it_prints_in_light_colours_whatever_the_theme(browser: Browser, report: str) -> None:
    browser.open(report, theme="light")
    light = browser.evaluate(COLOURS)
    browser.open(report, theme="dark")
    dark = browser.evaluate(COLOURS)
    # Added after the page's own listeners, so it sees what they made.
    widths = "[...document.querySelectorAll('.plot .main-svg')].map((svg) => svg.clientWidth)"
    browser.evaluate(
        f'addEventListener("beforeprint", () => {{ window.printed = {COLOURS}; window.widths = {widths}; }})'
    )
    pdf = browser.printed()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) > 1
    assert set(browser.evaluate("window.printed")) == set(light) != set(dark)
    assert max(browser.evaluate("window.widths")) <= PAPER
    browser.until(lambda: browser.evaluate(COLOURS) == dark, "the dark colours after printing")


def test_search_and_tag_narrow_the_list(browser: Browser, report: str) -> None:
    browser.open(report)
    assert browser.texts("#found") == ["60 of 60 prompts"]
    browser.one("#search").send_keys("line-1")
    tens = [f"line-{place}" for place in range(10, 20)]
    assert browser.texts(LISTED) == tens
    assert browser.texts("#found") == ["10 of 60 prompts"]
    Select(browser.one("#tag")).select_by_value("short")
    assert browser.texts(LISTED) == tens[1::2]
    browser.one("#search").send_keys(" LETTER")
    assert browser.texts(LISTED) == ["line-13"]
    browser.one("#search").clear()
    browser.one("#search").send_keys("nothing has these words")
    assert browser.texts("#found") == ["0 of 60 prompts"]
    assert browser.texts(LISTED) == []


def test_the_list_sorts_by_loss(browser: Browser, report: str) -> None:
    browser.open(report)
    in_order = browser.texts(LISTED)
    assert in_order == sorted(in_order)
    sort = Select(browser.one("#sort"))
    [by_vendi] = [way for way in sort.options if re.match("largest loss in vendi.*tuned T=1 ", way.text)]
    sort.select_by_visible_text(by_vendi.text)
    by_loss = browser.texts(LISTED)
    assert by_loss != in_order
    assert sorted(by_loss) == in_order
    lost = [
        float(text.removeprefix("lost ").replace("−", "-")) for text in browser.texts("#prompts .line span:last-child")
    ]
    assert lost == sorted(lost, reverse=True)
    assert len(set(lost)) > 10


def test_keys_move_through_the_list_and_the_address_follows(browser: Browser, report: str) -> None:
    browser.open(report)
    assert current(browser) == "line-00"
    keys = ActionChains(browser.driver)
    keys.send_keys("jj").perform()
    assert current(browser) == "line-02"
    assert address(browser) == "#prompt-line-02"
    keys.send_keys("k").perform()
    assert current(browser) == "line-01"
    assert address(browser) == "#prompt-line-01"
    browser.one("#search").send_keys("jk")
    assert browser.one("#search").get_attribute("value") == "jk"
    assert address(browser) == "#prompt-line-01"


def test_all_controls_are_reached_by_tab_alone(browser: Browser, report: str) -> None:
    browser.open(report)
    wanted = set(
        browser.evaluate(
            "[...document.querySelectorAll('select, input, button[id]')].filter((e) => e.checkVisibility()).map((e) => e.id)"
        )
    )
    assert {"pick-quality", "search", "save-json"} <= wanted
    for _ in range(
        browser.evaluate("document.querySelectorAll('a, button, input, select, summary, [tabindex]').length") + 1
    ):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        focused, ring = browser.evaluate(
            "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
        )
        if focused in wanted:
            assert ring != "none", f"{focused} does not show that it has the focus"
            wanted.remove(focused)
        if not wanted:
            break
    assert wanted == set()


def test_a_link_to_a_prompt_opens_it(browser: Browser, report: str) -> None:
    browser.open(report, "#prompt-line-17")
    assert current(browser) == "line-17"
    assert "32 completions" in browser.one("#prompt").text
    assert browser.evaluate(
        "Math.abs(document.getElementById('browser').getBoundingClientRect().top) < innerHeight / 2"
    )
    browser.evaluate("location.hash = '#prompt-line-30'")
    browser.until(lambda: browser.texts("#prompts a[aria-current] bdi") == ["line-30"], "the prompt of the new address")
    assert current(browser) == "line-30"


def test_links_lead_to_their_sections(browser: Browser, report: str) -> None:
    browser.open(report)
    links = browser.all("nav a")
    assert len(links) >= 5
    for link in links:
        link.send_keys(Keys.ENTER)
        target = link.get_attribute("href").split("#")[1]
        there = f"(({{ top }}) => top >= 0 && top < innerHeight)(document.getElementById('{target}').getBoundingClientRect())"
        browser.until(lambda there=there: browser.evaluate(there), f"#{target} in sight")


def test_every_selector_changes_what_is_shown(browser: Browser, report: str) -> None:
    browser.open(report)
    pickers = [picker for picker in browser.all("select[id^=pick-]") if len(Select(picker).options) > 1]
    assert len(pickers) >= 4
    for picker in pickers:
        before = browser.evaluate("document.querySelector('main').innerHTML")
        options = Select(picker).options
        Select(picker).select_by_index(len(options) - 1)
        browser.until(
            lambda before=before: browser.evaluate("document.querySelector('main').innerHTML") != before,
            picker.get_attribute("id"),
        )
    checks.is_drawn(browser)
    checks.fits(browser)


def test_the_numbers_can_be_saved(browser: Browser, report: str, sweep: ReportContent) -> None:
    browser.open(report)
    saved = browser.downloaded(browser.one("#save-json"))
    summary = json.loads(saved.read_text("utf-8"))
    assert [arm["name"] for arm in summary["arms"]] == [arm.name for arm in sweep.summary.arms]
    saved = browser.downloaded(browser.one("#save-csv"))
    with saved.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(summary["estimates"])
    assert {row["arm"] for row in rows} == {arm.name for arm in sweep.summary.arms}


def test_a_prompt_that_changed_is_linked_to_its_completions(browser: Browser, report: str) -> None:
    browser.open(report)
    current(browser)
    link = "#where-changed ~ details.where-prompts a"
    wanted = browser.evaluate(f"""(() => {{
      const link = document.querySelector("{link}");
      link.closest("details").open = true;
      link.click();
      return link.textContent;
    }})()""")
    browser.until(lambda: current(browser) == wanted, "the prompt that was linked to")
    top = "document.querySelector('#browser').getBoundingClientRect().top"
    browser.until(lambda: abs(browser.evaluate(top)) < 200, "the samples in sight")
