"""What servers write of when they may be asked again, read rightly."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.engines.rate_limits import LONGEST_WAIT, Allowance, asked_wait, read_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360), ("1s", 1), ("12ms", 0.012), ("1h2m3.5s", 3723.5), ("2m59.56s", 179.56), ("20", 20), ("0.5", 0.5),
     ("0", 0), ("-1", None), ("", None), ("soon", None), ("nan", None), ("inf", None), ("6m0s!", None)],
)  # fmt: skip
def test_durations_are_read_as_providers_write_them(text: str, seconds: float | None) -> None:
    assert read_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "7"}, 7), ({"retry-after-ms": "250", "retry-after": "7"}, 0.25), ({}, None),
     ({"retry-after": "Sat, 28 Nov 2026 13:00:30 GMT", "date": "Sat, 28 Nov 2026 13:00:00 GMT"}, 30),
     ({"retry-after": "Sat, 28 Nov 2026 13:00:00 GMT", "date": "Sat, 28 Nov 2026 13:00:09 GMT"}, 0),
     # Without the server's time a date says nothing: this machine's clock may be hours off.
     ({"retry-after": "Sat, 01 Jan 2000 00:00:00 GMT"}, None), ({"retry-after": "later"}, None)],
)  # fmt: skip
def test_a_refusal_says_how_long_by_the_servers_own_time(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers) == seconds


def told(left: object, reset: str, limit: object = "") -> dict[str, str]:
    return {
        "x-ratelimit-remaining-tokens": str(left), "x-ratelimit-reset-tokens": reset,
        "x-ratelimit-limit-tokens": str(limit),
    }  # fmt: skip


def test_what_is_left_is_reckoned_with_what_is_under_way() -> None:
    tokens = Allowance("tokens")
    assert tokens.wait(1e9, 0) == 0
    first = tokens.take(100)
    tokens.take(30)
    tokens.hear(told(50, "10s", 1000), first, now=5)
    tokens.give_back(100)
    assert tokens.wait(20, 5) == 0
    assert tokens.wait(21, 5) == 10
    assert tokens.wait(21, 14) == 1
    assert tokens.wait(970, 15) == 0
    assert tokens.wait(971, 15) == math.inf


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_answers_in_any_order_never_promise_more_than_is_left(counted: list[int], heard: list[int]) -> None:
    """Four requests of one are under way to a server that has six left, counts them in one order, and answers in another."""
    tokens = Allowance("tokens")
    numbers = [tokens.take(1) for _ in range(4)]
    for which in heard:
        tokens.hear(told(6 - 1 - counted.index(which), "10s"), numbers[which], now=0)
        tokens.give_back(1)
        assert tokens.wait(3, 0) == 10
    assert tokens.wait(2, 0) == 0


def test_a_request_that_was_sent_later_knows_better() -> None:
    tokens = Allowance("tokens")
    tokens.hear(told(0, "10s"), tokens.take(1), now=0)
    tokens.hear(told(7, "10s"), tokens.take(1), now=1)
    tokens.give_back(2)
    assert tokens.wait(7, 1) == 0


@pytest.mark.parametrize("headers", [told(-1, "0"), told(0, "24h"), told("many", "1s"), told(0, "")])
def test_headers_that_say_nothing_of_use_hold_nothing_up(headers: dict[str, str]) -> None:
    tokens = Allowance("tokens")
    tokens.hear(headers, tokens.take(1), now=0)
    tokens.give_back(1)
    assert tokens.wait(1, 0) == 0


@given(st.floats(0, 1e6), st.floats(0, LONGEST_WAIT), st.floats(0, 1e6), st.floats(0, 1e4))
def test_a_wait_ends_when_all_is_back_and_no_later(left: float, reset: float, amount: float, later: float) -> None:
    tokens = Allowance("tokens")
    tokens.hear(told(left, f"{reset:.6f}"), tokens.take(1), now=0)
    tokens.give_back(1)
    wait = tokens.wait(amount, later)
    assert wait == (0 if amount <= left or later >= round(reset, 6) else pytest.approx(reset - later, abs=1e-5))
