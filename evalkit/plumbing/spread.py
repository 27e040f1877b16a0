"""An order of work in which what is done at any time is like what is left, so that its time is a guide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
GOLDEN = (5**0.5 - 1) / 2


def spread(items: Sequence[Item]) -> list[Item]:
    """All of them, early ones and late ones in turn: neighbours are alike, and some take longer than others.

    Any first ones of the new order lie evenly over the old one: by multiples of the golden ratio, modulo 1
    (Knuth, The Art of Computer Programming, vol. 3, 6.4).
    """
    return [items[place] for place in sorted(range(len(items)), key=lambda number: number * GOLDEN % 1)]
