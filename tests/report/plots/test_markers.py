"""What tells arms apart in a plot: no two look alike for as long as colours and symbols last."""

from __future__ import annotations

import dataclasses

from evalkit.records import Arm, Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.plots import markers as signs


def of_checkpoints(summary: Summary, count: int) -> Summary:
    arms = tuple(Arm(f"c{place}", f"c{place}", None, None, None) for place in range(count))
    return dataclasses.replace(summary, arms=arms)


def test_the_arms_of_one_checkpoint_share_a_colour_and_no_symbol(sweep: ReportContent) -> None:
    colours, symbols = signs.colours(sweep.summary), signs.symbols(sweep.summary)
    assert len({colours[arm.name] for arm in sweep.summary.arms if arm.checkpoint == "tuned"}) == 1
    assert len({symbols[arm.name] for arm in sweep.summary.arms if arm.checkpoint == "tuned"}) == 4


def test_no_two_of_49_checkpoints_look_alike(sweep: ReportContent) -> None:
    summary = of_checkpoints(sweep.summary, 49)
    numbers, symbols = signs.numbers(summary), signs.symbols(summary)
    assert len({(signs.themed(number), signs.symbol(number)) for number in numbers.values()}) == 49
    assert len({(signs.themed(numbers[arm]), symbols[arm]) for arm in numbers}) == 49
    assert {signs.colour(number) for number in numbers.values()} == set(range(signs.COLOURS))


def test_where_signs_run_out_they_repeat(sweep: ReportContent) -> None:
    summary = of_checkpoints(sweep.summary, 50)
    assert signs.symbols(summary)["c49"] == signs.symbol(49) == signs.symbol(0)


def test_a_mark_is_its_symbol_in_text() -> None:
    assert [signs.MARKS[signs.SYMBOLS.index(signs.symbol(n))] for n in range(60)] == [signs.mark(n) for n in range(60)]
