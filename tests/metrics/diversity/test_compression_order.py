"""How far the order of completions can move compression_ratio: there is no small bound, on few bytes or on many."""

from __future__ import annotations

import random
import string

from evalkit.metrics.diversity.lexical import compression_ratio
from tests.metrics.diversity.groups import group_of


def test_the_order_of_short_texts_that_are_nearly_alike_can_move_it_by_four_tenths() -> None:
    # Found by climbing from random texts; with random shuffles of random texts the most was 0.22.
    texts = [
        "sea a . c b sea .",
        ". sea . c",
        "sea a b sea",
        "sea a . c c b b sea .",
        "sea a b sea .",
        "sea a . c b sea .",
        "sea . c b sea .",
    ]
    other = [texts[place] for place in (1, 6, 0, 5, 3, 4, 2)]
    assert compression_ratio(group_of(other)) / compression_ratio(group_of(texts)) > 1.4


def test_doubles_that_stand_beyond_the_window_of_gzip_are_not_seen() -> None:
    letters = random.Random(0)
    one, other = ("".join(letters.choices(string.ascii_letters, k=20_000)) for _ in range(2))
    beside = compression_ratio(group_of([one, one, other, other]))
    apart = compression_ratio(group_of([one, other, one, other]))
    assert beside > 1.9 * apart
