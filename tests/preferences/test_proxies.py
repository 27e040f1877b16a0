from __future__ import annotations

import pytest

from evalkit.preferences.proxies import disagreements, proxy_rates
from tests.preferences.cast import run, vote

GROUPS = run(2, 2)
SCORES = {
    "reward": {"tuned": [[1.0, 1.0], [1.0, None]], "base": [[0.0, 1.0], [0.0, 0.0]]},
    "errors": {"tuned": [[3.0, 3.0], [3.0, 3.0]], "base": [[5.0, 5.0], [1.0, 1.0]]},
}


def test_a_proxys_win_rate_is_over_all_pairs_and_ties_count_half() -> None:
    rates = proxy_rates(GROUPS, {"tuned": "base"}, SCORES, {"reward": "higher", "errors": "lower"})
    # reward: of the first prompt two wins and two ties, of the second two wins; errors: fewer are better.
    assert {rate.proxy: rate.rate.value for rate in rates} == pytest.approx({"reward": (0.75 + 1) / 2, "errors": 0.5})


def test_the_share_of_pairs_that_a_proxy_orders_otherwise_than_most_votes() -> None:
    votes = [
        vote("p0", "b", "x"), vote("p0", "b", "y"), vote("p0", "a", "z"),  # most: base; reward: tuned
        vote("p0", "a", drawn=(0, 1), a="three"),  # reward: the same
        vote("p1", "a", drawn=(0, 0)),  # both: tuned
        vote("p1", "a", drawn=(1, 0), b="four"),  # reward does not know it
        vote("p1", "tie", drawn=(0, 1), b="five"),  # people have no order
    ]  # fmt: skip
    [found] = disagreements(votes, GROUPS, SCORES, {"reward": "higher"})
    assert (found.pairs, found.undecided, found.against.value) == (2, 1, 0.5)
    [worst] = found.contested
    assert (worst.prompt_id, worst.pairs, worst.against) == ("p0", 1, 1)
    assert (worst.preferred, worst.scored, worst.votes_for, worst.votes) == ("two", "one", 2, 3)


def test_pairs_that_were_likelier_to_be_asked_count_less() -> None:
    votes = [vote("p0", "b", probability=0.5), vote("p1", "a", probability=0.25)]
    [found] = disagreements(votes, GROUPS, SCORES, {"reward": "higher"})
    assert found.against.value == pytest.approx(2 / 6)


def test_a_proxy_that_orders_nothing_is_not_told_of() -> None:
    assert disagreements([vote("p0", "a", drawn=(0, 1))], GROUPS, SCORES, {"reward": "higher", "none": "higher"}) == []
