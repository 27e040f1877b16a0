"""Completions that grow side by side tell how far they are, whatever their lengths."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.engines.growing import Growing, Lengths


def grown(lengths: list[int], most: int, at_once: int, known: Lengths) -> list[tuple[int, int, int]]:
    """What was told, and after how many tokens of all: at most `at_once` grow together, in their order."""
    states: dict[str, Any] = {
        str(number): SimpleNamespace(detokenizer=SimpleNamespace(output_token_ids=[])) for number in range(len(lengths))
    }
    told: list[tuple[int, int, int]] = []
    made = 0
    growing = Growing(states, most, known, lambda done, tokens: told.append((done, tokens, made)))
    while states:
        for one in list(states)[:at_once]:
            made += 1
            states[one].detokenizer.output_token_ids.append(0)
            if len(states[one].detokenizer.output_token_ids) == lengths[int(one)]:
                del states[one]
        growing.step()
    growing.end(sum(lengths))
    return told


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 30))
def test_all_completions_and_tokens_are_told_and_none_is_taken_back(lengths: list[int], at_once: int) -> None:
    told = grown(lengths, 40, at_once, Lengths())
    assert sum(done for done, _, _ in told) == len(lengths)
    assert sum(tokens for _, tokens, _ in told) == sum(lengths)
    assert all(done >= 0 and tokens >= 0 for done, tokens, _ in told)


@pytest.mark.parametrize("mean", [20, 60, 1000])
def test_from_a_tenth_on_it_is_known_when_the_end_is(mean: int) -> None:
    lengths = [min(96, int(length)) for length in np.random.default_rng(0).geometric(1 / mean, 2000)]
    told = grown(lengths, 96, 100, Lengths())
    done = 0
    for more, _, made in told[:-1]:
        done += more
        left = sum(lengths) - made
        if done >= len(lengths) / 10 and left > sum(lengths) / 20:
            assert made * (len(lengths) - done) / done == pytest.approx(left, rel=0.2)


def test_what_was_drawn_before_says_how_long_the_next_get() -> None:
    known = Lengths()
    grown([30] * 64, 1000, 64, known)
    told = sum(done for done, _, made in grown([30] * 64, 1000, 64, known) if made <= 16 * 64)
    assert told == pytest.approx(64 / 3, abs=8)  # without them, of 1000 tokens each a sixtieth
