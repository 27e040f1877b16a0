"""How checkpoints and arms are told apart: by the same colour and symbol in every plot.

Colours are names of the page's CSS variables, which the page looks up when it draws, so that one figure serves the
light theme, the dark one and print.
"""

from __future__ import annotations

from evalkit.metrics.summary import Summary

COLOURS = 7
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "cross")
MARKS = "●■◆▲⬟★✚"
"""The symbols as text has them."""


def numbers(summary: Summary) -> dict[str, int]:
    """Arm -> number of its checkpoint; the arms of one share it, a temperature sweep being one story."""
    checkpoints = list(dict.fromkeys(arm.checkpoint for arm in summary.arms))
    return {arm.name: checkpoints.index(arm.checkpoint) for arm in summary.arms}


def colours(summary: Summary) -> dict[str, int]:
    """Arm -> number of its colour."""
    return {arm: colour(number) for arm, number in numbers(summary).items()}


def colour(number: int) -> int:
    """Of a checkpoint by its number: one of `COLOURS`."""
    return number % COLOURS


def themed(number: int) -> str:
    """The same as the page's CSS knows it."""
    return f"var(--arm-{colour(number)})"


def symbol(number: int) -> str:
    """Of a checkpoint by its number. Where colours begin anew symbols are shifted: the first 49 all look different."""
    return SYMBOLS[_symbol_index(number)]


def mark(number: int) -> str:
    """The same as a character."""
    return MARKS[_symbol_index(number)]


def symbols(summary: Summary) -> dict[str, str]:
    """Arm -> its symbol, for plots without a line: the arms of one checkpoint share its colour, and differ in this."""
    given: dict[str, str] = {}
    taken: dict[int, set[str]] = {}
    for arm, number in numbers(summary).items():
        in_turn = SYMBOLS[_symbol_index(number) :] + SYMBOLS[: _symbol_index(number)]
        used = taken.setdefault(colour(number), set())
        free = [each for each in in_turn if each not in used]
        given[arm] = free[0] if free else in_turn[0]
        used.add(given[arm])
    return given


def _symbol_index(number: int) -> int:
    return (number + number // COLOURS) % len(SYMBOLS)
