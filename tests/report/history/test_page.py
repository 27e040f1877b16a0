"""The page of many runs: lines, tooltips and tables from bare numbers; strangers' names are text; small for a thousand."""

from __future__ import annotations

import datetime

from evalkit.report.content.content import MetricText
from evalkit.report.history.page import History, Line, PastRun, Trend, history_page
from tests.browser import WIDTHS, Browser, checks
from tests.report.hostile import HOSTILE
from tests.report.test_page import LIMIT, SCRIPTS_THAT_RUN, Page

START = datetime.datetime(2026, 1, 1, 2, tzinfo=datetime.UTC)
SIGNATURES = ("m|k:8|v:1.0", "m|k:8|v:1.1")


def past(runs: int, arms: tuple[str, ...] = ("base", "tuned"), metrics: int = 2, name: str = "night-{}") -> History:
    """The middle run has no number, and after it everything is measured in another way."""
    middle = runs // 2
    times = [START + datetime.timedelta(days=place) for place in range(runs)]
    values = tuple(None if place == middle else 1 / 3 + place / 7 for place in range(runs))
    line = Line(
        arm="",
        values=values,
        lows=tuple(None if value is None else value - 0.1 for value in values),
        highs=tuple(None if value is None else value + 0.1 for value in values),
        signatures=tuple(None if value is None else SIGNATURES[place > middle] for place, value in enumerate(values)),
        breaks=(middle + 1,),
    )
    lines = tuple(Line(arm, line.values, line.lows, line.highs, line.signatures, line.breaks) for arm in arms)
    return History(
        suite="creative",
        runs=tuple(PastRun(name.format(i), at, "0.1.0", f"reports/{i}", 64, arms) for i, at in enumerate(times)),
        arms=arms,
        trends=tuple(
            Trend(f"vendi|q:{number}", "diversity", MetricText("texts", "higher", "What it is."), lines, ("A note.",))
            for number in range(metrics)
        ),
        notes=("Another note.",),
    )


def test_every_metric_has_a_chart_with_words_and_a_table() -> None:
    page = Page(history_page(past(5)))
    assert page.tags.count("figure") == page.tags.count("figcaption") == 2
    assert [value for _, name, value in page.attributes if name == "data-trend"] == ["0", "0", "1", "1"]
    for words in ("5 runs of creative", "1 January 2026 to 5 January 2026", "A note.", "Another note.", "↑ higher"):
        assert words in page.text


def test_strangers_names_add_nothing_to_the_page() -> None:
    names = tuple(text.replace("{", "").replace("}", "") for text in HOSTILE if text.strip())
    page = Page(history_page(past(4, names, name="<img src=x onerror=alert(1)>{}")))
    assert len(page.running) == SCRIPTS_THAT_RUN
    assert not {"img", "iframe"} & set(page.tags)
    assert not [found for found in page.attributes if found[1].startswith("on")]
    assert all("<" not in arm["shown"] for arm in page.data["arms"])


def test_a_thousand_nights_of_five_arms_stay_one_page_that_can_be_mailed() -> None:
    assert len(history_page(past(1000, tuple("abcde"), metrics=13)).encode()) < LIMIT


def test_numbers_are_as_exact_as_an_interval_is_worth() -> None:
    [first, *_] = Page(history_page(past(3))).data["trends"]
    assert first["lines"][0]["values"] == [0.333333, None, 0.619048]
    assert first["lines"][0]["signatures"] == [0, None, 1]
    assert first["signatures"] == list(SIGNATURES)


def test_lines_are_drawn_broken_and_tables_filled_at_every_width(browser: Browser) -> None:
    browser.open(history_page(past(5)))
    checks.holds_together(browser)
    for width in WIDTHS:
        browser.resize(width)
        checks.is_drawn(browser)
        checks.fits(browser)
    checks.opens_everything(browser)
    checks.fits(browser)
    checks.is_accessible(browser)
    # Two arms in two charts: a path of intervals and a line each; a line that is broken has no way over the gap.
    assert browser.evaluate("document.querySelectorAll('.js-line').length") == 8
    assert browser.evaluate("document.querySelectorAll('.changed').length") == 2
    told = browser.evaluate("document.querySelector('main').textContent")
    assert "2026-01-05 02:00:00" in told
    assert "0.333" in told
