"""What a run will ask for, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from evalkit.inference.forecasting import ArmForecast, Forecast
from evalkit.plumbing.prose import listed
from evalkit.plumbing.terminal import visible_text
from evalkit.report.sections.provenance import took

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def show_forecast(expected: Forecast, prices: tuple[float, float] | None) -> None:
    """A row an arm, then time, disk and cost; "expected" and "at most" are tokens of the missing samples."""
    console = Console(highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("arm", overflow="fold")
    for title in ("samples", "there", "missing", "requests", "prompt tokens", "expected", "at most"):
        table.add_column(title, justify="right")
    for arm in expected.arms:
        table.add_row(*map(visible_text, _cells(arm)))
    console.print(table)
    for line in _lines(expected, prices):
        console.print(visible_text(line), soft_wrap=True)


def _cells(arm: ArmForecast) -> Iterator[str]:
    yield arm.arm
    for count in (arm.completions, arm.completions - arm.missing, arm.missing, arm.requests):
        yield f"{count:,}"
    yield f"{'' if arm.is_exact else '~'}{arm.prompt_tokens:,}"
    yield "?" if arm.expected_tokens is None else f"~{arm.expected_tokens:,.0f}"
    yield f"{arm.most_tokens:,}"


def _lines(expected: Forecast, prices: tuple[float, float] | None) -> Iterator[str]:
    yield from expected.notes
    if not any(arm.missing for arm in expected.arms):
        yield "Nothing will be sampled: all samples are there."
        return
    if expected.seconds is None:
        yield f"Time: not known; not yet sampled on this machine: {listed(expected.unmeasured)}."
    else:
        yield f"Time: about {took(expected.seconds)} to load and sample, as fast as the last time."
    yield f"Disk: about {_size(expected.stored)} of new samples."
    if prices is not None:
        likely, most = expected.cost(*prices)
        by = f"{prices[0]:g} and {prices[1]:g} for a million tokens"
        yield f"Cost: about {_sum(likely)}, at most {_sum(most)} ({by})."
    elif expected.stated_costs():
        yield from _stated(expected)
    if not all(arm.is_exact for arm in expected.arms):
        yield "A server's prompt tokens are guessed: by what it counted the last time, else four letters each."


def _stated(expected: Forecast) -> Iterator[str]:
    """What it costs by the suite's own prices, and whose prices are not stated."""
    for currency, (likely, most) in expected.stated_costs().items():
        yield f"Cost by the stated prices: about {_sum(likely)} {currency}, at most {_sum(most)} {currency}."
    unstated = [arm.arm for arm in expected.arms if arm.price is None and arm.missing]
    if unstated:
        yield f"No price is stated for {listed(unstated)}."
    if any(arm.expected_tokens is None for arm in expected.arms if arm.price is not None):
        yield "Where nothing is known of lengths, all completions are reckoned as long as they may be."


def _sum(money: float) -> str:
    return f"{money:,.2f}" if money >= 1 else f"{money:.2g}"


def _size(count: float) -> str:
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}"
        count /= 1000
    raise AssertionError
