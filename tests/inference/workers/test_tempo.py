"""How far a load is in time, where calls of one kind take longer than those of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.workers.calls import Call
from evalkit.inference.workers.tempo import Tempo

CHECKPOINT = Checkpoint("a", "base", "x", "/x", "x", None, "0", "auto")


def call(kind: str, size: int, expected: float = 1.0) -> Call:
    return Call(
        CHECKPOINT,
        size,
        lambda *_: None,
        lambda _: None,
        lambda _: [],
        refuse=lambda _: None,
        kind=kind,
        expected=expected,
    )


def calls(**units: int) -> list[Call]:
    return [call(kind, size) for kind, size in units.items()]


@given(st.integers(1, 100), st.floats(0.01, 100))
def test_of_one_kind_it_is_the_share_of_units(done: int, seconds: float) -> None:
    tempo = Tempo(calls(line=100))
    tempo.add("line", done, done * seconds)
    assert tempo.share == pytest.approx(done / 100)


def test_a_kind_that_takes_longer_counts_for_more() -> None:
    """Lines take 1 s, stories 4: 160 of 500 s are over, though half of all is done."""
    tempo = Tempo(calls(line=100, story=100))
    tempo.add("line", 80, 80.0)
    tempo.add("story", 20, 80.0)
    assert tempo.share == pytest.approx(160 / 500, rel=0.1)
    tempo.add("line", 20, 20.0)
    tempo.add("story", 80, 320.0)
    assert tempo.share == 1.0


def test_a_kind_of_which_little_is_known_is_not_taken_at_its_first_word() -> None:
    """The first of many that are asked together has waited as long as all of them."""
    tempo = Tempo(calls(line=100, story=100))
    tempo.add("line", 100, 100.0)
    tempo.add("story", 1, 10.0)
    assert tempo.share == pytest.approx(110 / (110 + 99 * 2.6), rel=0.1)


def test_before_any_of_a_kind_is_done_it_is_taken_at_what_was_expected() -> None:
    tempo = Tempo([call("line", 100, expected=10.0), call("story", 50, expected=30.0)])
    tempo.add("line", 100, 20.0)
    assert tempo.share == pytest.approx(20 / (20 + 30))
    tempo.add("story", 25, 45.0)
    assert tempo.share == pytest.approx(65 / (65 + 45), rel=0.1)


def test_what_was_lost_is_not_done() -> None:
    tempo = Tempo(calls(line=100))
    assert tempo.share == 0.0
    tempo.add("line", 60, 30.0)
    tempo.add("line", -60, -30.0)
    assert tempo.share == 0.0


def test_a_kind_that_nobody_planned_takes_no_time_that_is_left() -> None:
    tempo = Tempo(calls(line=100))
    tempo.add("line", 50, 50.0)
    tempo.add("other", 0, 10.0)
    assert tempo.share == pytest.approx(60 / (60 + 50 * (50 + 5 * 1.2) / 55))
