"""What tells arms apart in a plot: no two look alike for as long as colours and symbols last."""

from __future__ import annotations

import dataclasses

from evalkit.metrics.summary import Summary
from evalkit.records import Arm
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import markers


def of_checkpoints(summary: Summary, count: int) -> Summary:
    arms = tuple(Arm(f"c{place}", f"c{place}", None, None, None) for place in range(count))
    return dataclasses.replace(summary, arms=arms)


def test_the_arms_of_one_checkpoint_share_a_colour_and_no_symbol(sweep: ReportContent) -> None:
    colours, symbols = markers.colours(sweep.summary), markers.symbols(sweep.summary)
    assert len({colours[arm.name] for arm in sweep.summary.arms if arm.checkpoint == "tuned"}) == 1
    assert len({symbols[arm.name] for arm in sweep.summary.arms if arm.checkpoint == "tuned"}) == 4


def test_no_two_of_49_checkpoints_look_alike(sweep: ReportContent) -> None:
    summary = of_checkpoints(sweep.summary, 49)
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    assert len({(markers.themed(number), markers.symbol(number)) for number in numbers.values()}) == 49
    assert len({(markers.themed(numbers[arm]), symbols[arm]) for arm in numbers}) == 49
    assert {markers.colour(number) for number in numbers.values()} == set(range(markers.COLOURS))


def test_where_signs_run_out_they_repeat(sweep: ReportContent) -> None:
    summary = of_checkpoints(sweep.summary, 50)
    assert markers.symbols(summary)["c49"] == markers.symbol(49) == markers.symbol(0)


def test_a_mark_is_its_symbol_in_text() -> None:
    assert [markers.MARKS[markers.SYMBOLS.index(markers.symbol(n))] for n in range(60)] == [
        markers.mark(n) for n in range(60)
    ]
