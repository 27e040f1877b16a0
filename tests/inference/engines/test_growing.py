"""Completions that grow side by side tell how far they are, whatever their lengths and whatever a step costs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.engines import growing
from evalkit.inference.engines.growing import Growing
from evalkit.inference.engines.pace import Pace
from evalkit.records import Sampling

OfEach = tuple[float, float, float]
"""Seconds of a step, of a token and of a prompt's token."""
OF_A: dict[str, OfEach] = {"cpu": (0.02, 0.004, 0.001), "cuda": (0.2, 0.0006, 0.0002)}
PROMPT = 40
Told = list[tuple[int, int, float]]


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def grown(lengths: list[int], most: int, at_once: int, pace: Pace, device: str = "cpu") -> Told:
    """(completions, tokens, when) of all that was told; at most `at_once` grow together, in their order."""
    states: dict[str, Any] = {
        str(number): SimpleNamespace(prompt_len=PROMPT, detokenizer=SimpleNamespace(output_token_ids=[]))
        for number in range(len(lengths))
    }
    told: Told = []
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(growing, "time", clock)
        sampling = Sampling(1, 1.0, 1.0, 0.0, most, (), 0)
        call = Growing(states, sampling, pace, lambda done, tokens: told.append((done, tokens, clock.now)))
        while states:
            running = [(one, states[one].detokenizer.output_token_ids) for one in list(states)[:at_once]]
            clock.now += float(
                np.dot(OF_A[device], (1, len(running), PROMPT * sum(not tokens for _, tokens in running)))
            )
            for one, tokens in running:
                tokens.append(0)
                if len(tokens) == lengths[int(one)]:
                    del states[one]
            call.step()
        call.end(sum(lengths))
    return told


def errors(told: Told) -> list[tuple[float, float]]:
    """(share of the time, relative error of the time left that follows) of each time that something was told."""
    size, end, done = sum(one for one, _, _ in told), told[-1][2], 0
    found = []
    for more, _, now in told[:-1]:
        done += more
        if done and end - now > end / 20:
            found.append((now / end, now * (size - done) / done / (end - now) - 1))
    return found


def drawn(mean: int, most: int, seed: int) -> list[int]:
    return [min(most, int(length)) for length in np.random.default_rng(seed).geometric(1 / mean, 1024)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 30))
def test_all_completions_and_tokens_are_told_and_none_is_taken_back(lengths: list[int], at_once: int) -> None:
    told = grown(lengths, 40, at_once, Pace("cpu"))
    assert sum(done for done, _, _ in told) == len(lengths)
    assert sum(tokens for _, tokens, _ in told) == sum(lengths)
    assert all(done >= 0 and tokens >= 0 for done, tokens, _ in told)


@pytest.mark.parametrize("device", OF_A)
@pytest.mark.parametrize(("mean", "most"), [(40, 96), (60, 256), (1000, 96)])
def test_a_tenth_of_the_first_call_tells_on_average_how_long_it_takes(mean: int, most: int, device: str) -> None:
    calls = [errors(grown(drawn(mean, most, seed), most, 256, Pace(device), device)) for seed in range(8)]
    assert np.mean([next(error for share, error in found if share >= 0.1) for found in calls]) == pytest.approx(
        0, abs=0.35
    )  # few have ended, and what the last ones cost has not been seen


@pytest.mark.parametrize("device", OF_A)
@pytest.mark.parametrize(("mean", "most"), [(40, 96), (60, 256), (1000, 96)])
def test_from_the_second_call_on_it_is_right_until_the_last_few(mean: int, most: int, device: str) -> None:
    pace = Pace(device)
    grown(drawn(mean, most, 0), most, 256, pace, device)
    found = errors(grown(drawn(mean, most, 1), most, 256, pace, device))
    assert max(abs(error) for share, error in found if 0.1 <= share <= 0.8) < 0.2


def test_what_steps_cost_is_found_out() -> None:
    pace = Pace("cpu")
    for seed in range(3):
        grown(drawn(60, 256, seed), 256, 256, pace)
    assert pace.costs.each() == pytest.approx(OF_A["cpu"], rel=0.25)


def test_survivors_of_many_short_ones_are_known_to_get_long() -> None:
    lengths = [int(length) for length in np.random.default_rng(0).permutation([16] * 900 + [400] * 124)]
    pace = Pace("cpu")
    grown(lengths, 512, 256, pace)
    found = errors(grown(lengths, 512, 256, pace))
    assert max(abs(error) for share, error in found if 0.1 <= share <= 0.8) < 0.25
