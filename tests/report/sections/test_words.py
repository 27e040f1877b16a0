"""Words gained and lost on the page: what is drawn is what is listed, and what strangers wrote is text."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.analysis.figure_data import Quote
from evalkit.metrics.word_use import Gap, Level, PhraseUse, WordChange, WordShift, WordUse
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.results.figures import figure_of
from evalkit.report.sections.words import UNLIKE, arm_figures, listed_figure, one_by_one, words_view
from tests.report.worded import having, with_words

HOSTILE = "<script>alert(1)</script><b>bold</b>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;bold&lt;/b&gt;"


@pytest.fixture(scope="module")
def content(two_arms: ReportContent) -> ReportContent:
    """With words as a run counts them."""
    return with_words(two_arms, "sang about", "the sea", "nobody says this")


def shift(phrase: str, z: float = 4.0, prompts: int = 38, baseline_prompts: int = 4) -> WordShift:
    return WordShift(phrase, z / 2, z, 0.0001, 0.002, 2.0, 0.2, prompts, baseline_prompts, ("an",))


def changed(gained: list[WordShift], lost: list[WordShift], words: int = 900) -> WordChange:
    return WordChange("tuned", "base", 60, words, 900, 50, 8, 9, tuple(gained), tuple(lost))


def test_what_is_drawn_is_what_is_listed(content: ReportContent) -> None:
    from plotly.graph_objects import Figure

    view, use = words_view(content), content.summary.words
    assert view is not None
    assert use is not None
    [of_arm] = view.changes
    figure = arm_figures(content.summary)[of_arm.arm]
    [trace] = Figure(figure).data
    rows = (*of_arm.gained, *of_arm.lost)
    assert [row.phrase for row in rows] == list(trace.customdata)
    assert rows
    shifts = (*use.changes[0].gained, *use.changes[0].lost)
    assert list(trace.x) == [each.log_odds for each in shifts]
    assert all((x > 0) == (row in of_arm.gained) for x, row in zip(trace.x, rows, strict=True))
    assert all(row.quotes for row in rows)


def test_a_figure_for_notebooks_has_its_colours(content: ReportContent) -> None:
    figure = figure_of(content, "words/tuned", None, None)
    assert all(colour.startswith("#") for colour in figure.data[0].marker.color)


def test_a_sentence_names_what_moved_on_most_prompts_with_its_rates(content: ReportContent) -> None:
    """The claim is of rates: a word may be said more on no more prompts."""
    few, many = shift("the", 6.0, 60, 58), shift("as an")
    view = words_view(having(content, WordUse("words", 8, (changed([few, many], [shift("rain", -4.0, 0, 20)]),))))
    assert view is not None
    [of_arm] = view.changes
    assert of_arm.says == (
        "tuned says more: “as an” (2.0 per 1 000 words, base 0.20) and “the” (2.0 per 1 000 words, base 0.20); "
        "tuned says less: “rain” (2.0 per 1 000 words, base 0.20)"
    )
    assert of_arm.gained[1].says == "on 38 of 60 prompts, base on 4"
    assert of_arm.gained[1].times == "with the prior 7.4 times as often"
    assert of_arm.lost[0].times == "with the prior 7.4 times less often"
    assert of_arm.cautions == ()


def test_a_ratio_that_the_prior_shrank_says_so_beside_the_rates_as_counted(content: ReportContent) -> None:
    page = build_report(having(content, WordUse("words", 8, (changed([shift("as an")], []),))))
    assert '<p dir="auto">2.0 per 1 000 words, base 0.20; with the prior 7.4 times as often</p>' in page
    assert "A prior that weighs 500 words draws" in page


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((), ""),
        (("an",), "its part “an” moved with it"),
        (("as", "an"), "its parts “as” and “an” moved with it"),
    ],
)
def test_parts_of_a_phrase_are_one_or_several(content: ReportContent, parts: tuple[str, ...], words: str) -> None:
    moved = dataclasses.replace(shift("as an"), parts=parts)
    view = words_view(having(content, WordUse("words", 8, (changed([moved], []),))))
    assert view is not None
    assert view.changes[0].gained[0].parts == words
    assert words in build_report(having(content, WordUse("words", 8, (changed([moved], []),))))


def test_an_arm_that_writes_much_more_is_told_of(content: ReportContent) -> None:
    longer = changed([shift("as an")], [], words=int(UNLIKE * 900) + 100)
    view = words_view(having(content, WordUse("words", 8, (longer,))))
    assert view is not None
    assert view.changes[0].cautions[0].startswith("tuned writes 1.6 times as many words")
    silent = changed([], [], words=0)
    view = words_view(having(content, WordUse("words", 8, (silent,))))
    assert view is not None
    assert view.changes[0].cautions == ("tuned writes no word at all.",)


def test_where_nothing_moved_the_page_says_what_was_tested(content: ReportContent) -> None:
    nothing = changed([], [])
    page = build_report(having(content, WordUse("words", 8, (nothing,))))
    assert "No word or phrase moved clearly from base to tuned" in page
    assert "50 words and phrases of up to 4 words that occur on 8 prompts or more were tested" in page
    assert 'id="words-plot"' not in page


@pytest.mark.parametrize(
    ("prompts", "why"),
    [
        (60, "no word occurs on so many of the 60 prompts, and a word is tested that occurs on 8 or more."),
        (1, "tuned and base both write words on 1 prompt only, and a word is tested that occurs on 8 or more."),
        (0, "on no prompt do both tuned and base write any word."),
    ],
)
def test_where_nothing_could_be_tested_the_page_says_why(content: ReportContent, prompts: int, why: str) -> None:
    untested = dataclasses.replace(changed([], []), tested=0, prompts=prompts)
    view = words_view(having(content, WordUse("words", 8, (untested,))))
    assert view is not None
    assert view.changes[0].tested == f"Nothing could be tested: {why}"


def test_a_sign_alone_can_be_seen_beside_its_bar(content: ReportContent) -> None:
    figure = arm_figures(having(content, WordUse("w", 8, (changed([shift(".")], []),))).summary)["tuned"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["“.”"]


def phrase_use(phrase: str, arm: str, times: int, q: float | None) -> PhraseUse:
    gap = None if q is None else Gap(0.5, 0.1, 0.9, q / 2, q)
    return PhraseUse(
        phrase, arm, None if q is None else "base", times, Level(1.5, 1.0, 2.0), Level(0.1, 0.05, 0.2), gap, gap
    )


def test_listed_phrases_have_a_dot_an_arm_hollow_where_nothing_is_clear(content: ReportContent) -> None:
    uses = (
        phrase_use("delve", "base", 3, None), phrase_use("tapestry", "base", 0, None), phrase_use("", "base", 3, None),
        phrase_use("delve", "tuned", 9, 0.001), phrase_use("tapestry", "tuned", 0, 0.9), phrase_use("", "tuned", 9, 0.2),
    )  # fmt: skip
    told = having(content, WordUse("words", 8, (), uses))
    view = words_view(told)
    assert view is not None
    assert [(row.phrase, row.arm, row.mark) for row in view.phrases] == [
        ("", "base", ""), ("", "tuned", "not clear"), ("delve", "base", ""), ("delve", "tuned", "more"),
    ]  # fmt: skip
    assert view.left_out == 1
    assert view.phrases[3].cells[0] == ("1.5", "1.0 to 2.0")
    assert view.phrases[3].cells[2] == ("10 %", "5 to 20")
    assert view.phrases[3].cells[3] == ("+50", "10 to 90")
    figure = listed_figure(told.summary)
    assert figure is not None
    assert figure["layout"]["yaxis"]["ticktext"] == ["delve"]
    assert not any(symbol.endswith("-open") for trace in figure["data"] for symbol in trace["marker"]["symbol"])
    assert "1 of the phrases on the list no arm says" in build_report(told)


def test_words_and_places_of_strangers_are_text(content: ReportContent) -> None:
    place = Quote("tuned", HOSTILE, "line \ud800?&<01>", HOSTILE, HOSTILE, HOSTILE)
    use = WordUse("words", 8, (changed([shift(HOSTILE)], []),), (phrase_use(HOSTILE, "tuned", 3, 0.001),))
    page = build_report(having(content, use, place))
    assert HOSTILE not in page
    assert page.count(ESCAPED) > 8
    assert 'href="#prompt-line%20%EF%BF%BD%3F%26%3C01%3E"' in page


def test_of_several_arms_each_has_its_bars_and_its_lists(sweep: ReportContent) -> None:
    worded = with_words(sweep)
    view, picked = words_view(worded), one_by_one(worded.summary)
    assert view is not None
    assert isinstance(picked, dict)
    prompts = picked["prompts"]
    assert isinstance(prompts, list)
    assert [each["text"] for each in prompts] == list(view.options)
    assert len(view.options) == len(view.changes) == 4
    page = build_report(worded)
    assert page.count("<summary>Said more: how often") == sum(bool(change.gained) for change in view.changes)


def test_a_page_without_words_has_no_such_section(content: ReportContent) -> None:
    page = build_report(having(content, None))
    assert 'id="words"' not in page
    assert words_view(having(content, None)) is None
