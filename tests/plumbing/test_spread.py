"""Work in an order of which any part is like the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalkit.plumbing.spread import spread


@given(st.lists(st.integers()))
def test_it_is_the_same_items(items: list[int]) -> None:
    assert sorted(spread(items)) == sorted(items)


@given(st.integers(40, 2000), st.floats(0.1, 1))
def test_the_first_ones_lie_evenly_over_all(size: int, share: float) -> None:
    first = spread(range(size))[: max(4, round(share * size))]
    mean = sum(first) / len(first)
    assert abs(mean / (size - 1) - 0.5) < 0.15


def test_a_tenth_tells_how_long_the_rest_takes_where_work_grows_along_the_way() -> None:
    costs = [1 + place / 100 for place in range(1000)]
    first = spread(costs)[:100]
    assert abs(sum(first) / len(first) / (sum(costs) / len(costs)) - 1) < 0.05
