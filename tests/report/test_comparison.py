"""Variants, curves and readings on the page: beside the plain numbers, in words that a reader understands, escaped."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.metrics.summary import Bar, Crossover, Curve, Reading, Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.plots import figures
from evalkit.report.sections import curves
from evalkit.report.sections.curves import curve_figures, curve_tables
from evalkit.report.sections.tables import tables
from evalkit.report.sections.temperature_sweeps import sentence_of
from evalkit.report.verdicts.verdict import verdict

EVIL = "<img src=x onerror=alert(1)>"


def curve(arm: str, *values: float | None) -> Curve:
    ks = tuple(2**i for i in range(len(values)))
    return Curve("best_of", "reward", "reward", "best_of|of:4|v:1.0", arm, ks, values, values, values, 0.95, 60)


def crossover(k: float | None, low: float | None, high: float | None) -> Crossover:
    return Crossover("best_of", "reward", "s", "tuned", "base", k, low, high, 32)


def reading(value: float | None, start: float = 0.2, end: float = 0.6) -> Reading:
    low, high = (None, None) if value is None else (value - 0.02, value + 0.02)
    return Reading("tuned", "base", "distinct_n|n:2", "reward", "s", value, low, high, start, end)


@pytest.fixture(scope="module")
def compared(two_arms: ReportContent) -> ReportContent:
    summary = two_arms.summary
    useful = [
        dataclasses.replace(e, metric=f"useful/{e.metric}") for e in summary.estimates if e.metric == "distinct_n|n:2"
    ]
    differences = [
        dataclasses.replace(d, metric=f"useful/{d.metric}") for d in summary.differences if d.metric == "distinct_n|n:2"
    ]
    summary = dataclasses.replace(
        summary,
        estimates=(*summary.estimates, *useful),
        differences=(*summary.differences, *differences),
        bar=Bar("reward", 0.25, "the median of base", {"base": 0.5, "tuned": 0.9}),
        curves=(curve("base", 0.1, 0.9, 1.5), curve("tuned", 1.0, 1.1, None)),
        crossovers=(crossover(2.5, 1.5, None),),
        readings=(reading(-0.1),),
    )
    return dataclasses.replace(two_arms, summary=summary)


def test_a_variant_stands_in_the_table_of_its_plain_form(compared: ReportContent) -> None:
    every = {table.metric: table for table in tables(compared.summary, compared.metrics)}
    assert "useful/distinct_n|n:2" not in every
    [variant] = every["distinct_n|n:2"].variants
    assert variant.name == "useful completions"
    assert [cell.arm for cell in variant.cells if cell] == ["base", "tuned"]
    assert not every["vendi"].variants


def test_a_variant_without_its_plain_form_has_a_table_of_its_own(compared: ReportContent) -> None:
    only = [e for e in compared.summary.estimates if e.metric.startswith("useful/")]
    [table] = tables(dataclasses.replace(compared.summary, estimates=tuple(only), differences=()), {})
    assert (table.metric, table.name, table.side) == ("useful/distinct_n|n:2", "useful distinct_n (n 2)", "diversity")


def test_variants_change_neither_verdict_nor_charts(two_arms: ReportContent, compared: ReportContent) -> None:
    assert verdict(compared.summary) == verdict(two_arms.summary)
    assert figures.forest(compared.summary, "tuned", "base") == figures.forest(two_arms.summary, "tuned", "base")
    assert figures.plottable(compared.summary, "diversity") == figures.plottable(two_arms.summary, "diversity")


def test_curves_in_which_the_baseline_surely_overtakes_come_first(compared: ReportContent) -> None:
    other = [dataclasses.replace(one, name="classes") for one in compared.summary.curves]
    both = (*other, *compared.summary.curves)
    summary = dataclasses.replace(compared.summary, curves=both, crossovers=(crossover(6.58, 4.1, 9.0),))
    assert [table.title for table in curves.curve_tables(summary)] == ["Best of k: reward", "Different things said"]
    first, _ = curves.curve_figures(summary)
    assert "is overtaken" in first["layout"]["annotations"][0]["text"]
    for nowhere_or_not_surely in (crossover(None, None, None), crossover(6.58, 4.1, None)):
        other_first = dataclasses.replace(summary, crossovers=(nowhere_or_not_surely,))
        assert curves.curve_tables(other_first)[0].title == "Different things said"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (crossover(6.58, 4.1, 9.0), "base overtakes tuned after about 6.58 completions (95 % interval 4.1 to 9)."),
        (crossover(6.58, 4.1, None), "(95 % interval 4.1 to more than 32)."),
        (
            crossover(None, 9.0, None),
            "tuned is not overtaken by base within 32 completions (95 % interval 9 to more than 32).",
        ),
        (
            crossover(0.0, 0.0, 2.0),
            "base is ahead of tuned from the first completion on (95 % interval the first to 2).",
        ),
        (
            crossover(None, 0.0, None),
            "It cannot be told whether base is ahead of tuned, nor from how many completions on.",
        ),
        (  # as an earlier evalkit wrote it
            crossover(0.0, 0.0, None),
            "It cannot be told whether base is ahead of tuned, nor from how many completions on.",
        ),
        (
            crossover(None, None, None),
            "tuned is not overtaken by base within 32 completions (95 % of resamples say the same).",
        ),
    ],
)
def test_a_crossover_in_words(compared: ReportContent, found: Crossover, words: str) -> None:
    [table] = curve_tables(dataclasses.replace(compared.summary, crossovers=(found,)))
    assert table.crossings[0].endswith(words)


@pytest.mark.parametrize(
    ("p_adjusted", "words"),
    [
        (0.04, "base is ahead of tuned from the first completion on (95 % of resamples say the same)."),
        (0.06, "It cannot be told whether base is ahead of tuned, nor from how many completions on."),
    ],
)
def test_the_baseline_is_ahead_from_the_first_on_only_where_the_page_s_own_test_says_so(
    compared: ReportContent, p_adjusted: float, words: str
) -> None:
    differences = [
        dataclasses.replace(d, value=-0.2, p_adjusted=p_adjusted) if d.metric == "reward" else d
        for d in compared.summary.differences
    ]
    of = dataclasses.replace(compared.summary, differences=tuple(differences), crossovers=(crossover(0.0, 0.0, 0.0),))
    [table] = curve_tables(of)
    assert table.crossings == (words,)


def test_where_both_have_all_there_is_to_have_nobody_is_ahead(compared: ReportContent) -> None:
    longer = [dataclasses.replace(one, ks=(1, 32, 64)) for one in compared.summary.curves]
    summary = dataclasses.replace(compared.summary, curves=tuple(longer), crossovers=(crossover(0.0, 0.0, 0.0),))
    [table] = curve_tables(summary)
    assert table.crossings == (
        "base is ahead of tuned from the first completion on (95 % of resamples say the same). "
        "With more than 32 completions both are equal on every prompt.",
    )


def test_where_the_baseline_overtakes_is_marked_on_the_plot(compared: ReportContent) -> None:
    [figure] = curve_figures(compared.summary)
    band, line = figure["layout"]["shapes"]
    assert (band["x0"], band["x1"]) == (1.5, 32)
    assert (line["x0"], line["x1"]) == (2.5, 2.5)
    [label] = figure["layout"]["annotations"]
    assert label["text"] == "tuned is overtaken at k* ≈ 2.5 (1.5 to > 32)"


@pytest.mark.parametrize("found", [crossover(None, 4.0, None), crossover(0.0, 0.0, 0.0), crossover(2.5, 0.0, None)])
def test_where_nothing_crosses_nothing_is_marked(compared: ReportContent, found: Crossover) -> None:
    [figure] = curve_figures(dataclasses.replace(compared.summary, crossovers=(found,)))
    assert figure["layout"]["shapes"] == []


def test_a_curve_has_its_figure_and_its_table(compared: ReportContent) -> None:
    [figure], [table] = curve_figures(compared.summary), curve_tables(compared.summary)
    assert [trace["y"] for trace in figure["data"]] == [[0.1, 0.9, 1.5], [1.0, 1.1, None]]
    assert table.rows[1][1][2] == ("not defined", "")


def test_an_arm_without_a_number_has_a_row_and_no_line_in_the_legend(compared: ReportContent) -> None:
    blank = (None, None, None)
    first, second = compared.summary.curves
    curves = (first, dataclasses.replace(second, values=blank, lows=blank, highs=blank))
    summary = dataclasses.replace(compared.summary, curves=curves)
    [figure], [table] = curve_figures(summary), curve_tables(summary)
    assert [trace["name"] for trace in figure["data"]] == [first.arm]
    assert len(table.rows) == 2


def test_a_reading_says_where_it_was_taken_and_when_it_cannot_be() -> None:
    assert sentence_of(reading(-0.1)) == (
        "At equal reward (0.2 to 0.6) tuned has distinct_n (n 2) −0.10 against base (95 % interval −0.12 to −0.08)."
    )
    assert "nothing is extrapolated" in sentence_of(reading(None))


def test_the_page_shows_all_of_it(compared: ReportContent) -> None:
    page = build_report(compared)
    for words in (
        "useful completions",
        "the median of base",
        "More samples of each prompt",
        "Best of k: reward",
        "overtakes",
        "At equal",
    ):
        assert words in page


def test_names_of_strangers_are_escaped_here_too(compared: ReportContent) -> None:
    summary: Summary = dataclasses.replace(
        compared.summary,
        bar=Bar(EVIL, 0.25, EVIL, {EVIL: 0.5}),
        curves=tuple(dataclasses.replace(c, measure=EVIL, unit=EVIL, signature=EVIL) for c in compared.summary.curves),
        crossovers=(dataclasses.replace(crossover(None, None, None), measure=EVIL, arm=EVIL, baseline=EVIL),),
        readings=(dataclasses.replace(reading(0.1), checkpoint=EVIL, metric=EVIL),),
    )
    page = build_report(dataclasses.replace(compared, summary=summary))
    assert "<img" not in page
    assert "onerror" in page


def test_a_cell_across_prompts_says_that_it_rests_on_groups(two_arms: ReportContent) -> None:
    def pooled(signature: str) -> list[str]:
        estimates = [
            dataclasses.replace(e, metric=f"pooled/{e.metric}", signature=signature, prompts=20)
            for e in two_arms.summary.estimates
        ]
        found = tables(dataclasses.replace(two_arms.summary, estimates=tuple(estimates)), {})
        return [row.basis for row in found[0].rows]

    assert pooled("pooled/m|prompts:5000|slots:1|groups:20|k:8|v:1.0")[0] == "20 groups of prompts"
    assert pooled("pooled/m|prompts:20|slots:8|k:8|v:1.0")[0] == "20 prompts"
